// What every fuzz target is made of. A target takes any bytes: what the library refuses must be refused by
// tessera::error, what it accepts must keep its promises, and both must cost no more memory than the input is worth.
#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "tessera/core/error.hpp"

namespace fuzz {

namespace fs = std::filesystem;

/// Memory that a target may take for one input: so much in any case, and so much for every byte of it. `live` is what
/// it holds at a time; `made` is all that it ever asked for, which grows with the work, so that work that grows faster
/// than the input shows on every machine alike.
struct memory_bounds {
    std::size_t live = std::size_t{1} << 20;
    std::size_t live_per_byte = 128;
    std::size_t made = std::size_t{4} << 20;
    std::size_t made_per_byte = 2048;
};

/// Keeps the inputs to begin with: small ones made by the targets themselves, and files of the shared data where these
/// are.
class corpus {
public:
    explicit corpus(fs::path folder) : folder_(std::move(folder)) {}
    void add(std::string_view bytes);
    [[nodiscard]] static fs::path project();
    /// A file or folder of the shared data, or nothing where this machine has none: $TESSERA_SHARED, else beside the
    /// project.
    [[nodiscard]] static std::optional<fs::path> shared(std::string_view relative);
    /// Adds the files below a folder of the shared data that end so and are small.
    void add_shared(std::string_view folder, std::string_view ending);

    static constexpr std::size_t largest = 32 << 10;  ///< mutating larger inputs finds little for its time

private:
    fs::path folder_;
    std::size_t count_ = 0;
};

/// One thing to try: `run` gets any bytes, `seed` adds inputs that are whole.
struct target {
    std::string_view name;
    void (*run)(std::string_view input);
    void (*seed)(corpus& seeds);
    memory_bounds bounds = {};
};

/// The targets of a program; each program defines its own.
std::span<const target> targets();

/// Says what did not hold, and ends the program in the way that a fuzzer takes for a finding.
[[noreturn]] void broken(std::string_view promise);

inline void require(bool holds, std::string_view promise) {
    if (!holds) broken(promise);
}

/// What f returns; nothing where it throws tessera::error, whose message must begin with `where`. Any other exception
/// is a finding.
template <class Function>
auto accepted(std::string_view where, Function&& f) -> std::optional<std::invoke_result_t<Function>> {
    try {
        return std::optional<std::invoke_result_t<Function>>(std::in_place, f());
    } catch (const tessera::error& refusal) {
        require(std::string_view(refusal.what()).starts_with(where), "an error begins with what it is about");
        return std::nullopt;
    }
}

/// Stands between the files of inputs that are several.
inline constexpr std::string_view part_separator = "\n%%%%\n";

/// The parts of an input, at most `most`; what follows the last belongs to it.
[[nodiscard]] inline std::vector<std::string_view> parts_of(std::string_view input, std::size_t most) {
    std::vector<std::string_view> parts;
    while (parts.size() + 1 < most) {
        const std::size_t end = input.find(part_separator);
        if (end == input.npos) break;
        parts.push_back(input.substr(0, end));
        input.remove_prefix(end + part_separator.size());
    }
    parts.push_back(input);
    return parts;
}

[[nodiscard]] inline std::string joined(std::span<const std::string> parts) {
    std::string input;
    for (std::size_t i = 0; i < parts.size(); ++i) (input += i ? part_separator : "") += parts[i];
    return input;
}

/// A folder for files of the input at hand, empty before each; it goes when the program ends.
[[nodiscard]] const fs::path& folder();
fs::path write_file(std::string_view name, std::string_view bytes);

/// Memory asked for while one of these lives does not count: for what is made once and kept for all inputs.
class unmetered {
public:
    unmetered();
    unmetered(const unmetered&) = delete;
    unmetered& operator=(const unmetered&) = delete;
    ~unmetered();
};

}  // namespace fuzz
