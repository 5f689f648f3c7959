// The files of a command that writes: what it reads, what it writes, and what it keeps until it is done.
#pragma once

#include <filesystem>
#include <iostream>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "commands.hpp"
#include "terminal.hpp"
#include "tessera/app/open_model.hpp"
#include "tessera/core/checksum.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/file_claims.hpp"
#include "tessera/core/output_rule.hpp"

namespace cli {

/// Every file of a command is named here first; then check() finds what clashes before any work is done.
///
/// What a command finds out on its way to its output, and has no file of its own for, is kept beside the output until
/// done(): where a later step fails, the same command goes on from there.
class command_files {
public:
    explicit command_files(tessera::existing_file existing) : claims_(existing) {}

    void read(const std::filesystem::path& file) { claims_.read(file); }
    /// A GGUF file with all of its shards, or the files of a directory that make it a model.
    void read_model(const std::filesystem::path& model);
    /// Everything that arguments of --text and its like stand for. Throws when one stands for nothing.
    void read_texts(const std::vector<std::string>& arguments);
    void write(const std::filesystem::path& file) { claims_.write(file); }
    /// A file that is gone on from if it is there.
    void keep(const std::filesystem::path& file) { claims_.write(file, tessera::existing_file::replace); }

    /// What importances need, and a target for which damage may have to be measured; `output` is what they are for.
    void use(const importance_options& importances, const std::filesystem::path& output);
    void use(const target_options& target, const std::filesystem::path& output);

    void check() const { claims_.check(); }

    [[nodiscard]] const tessera::output_rule& rule() const noexcept { return claims_.rule(); }
    /// Where a damage table or importances are kept; empty: nowhere.
    [[nodiscard]] const std::filesystem::path& kept_damage() const noexcept { return kept_damage_; }
    [[nodiscard]] const std::filesystem::path& kept_importances() const noexcept { return kept_importances_; }
    /// Removes what was kept.
    void done() const;

private:
    tessera::file_claims claims_;
    std::filesystem::path kept_damage_, kept_importances_;
};

/// What something is found out from, as a number that tells it from anything else.
class origin {
public:
    explicit origin(const tessera::any_model& model);
    template <class T>
    origin& add(std::span<const T> values) {
        sum_.append(values.data(), values.size_bytes());
        return *this;
    }
    template <class T>
    requires std::is_arithmetic_v<T>
    origin& add(T value) {
        return add(std::span<const T>(&value, 1));
    }
    origin& add(std::string_view text) { return add(std::span<const char>(text)); }
    [[nodiscard]] std::string text() const { return std::to_string(sum_.value()); }

private:
    tessera::checksum sum_;
};

/// Tells on standard output that something was put into a file, where it is until the command is done.
void tell_kept(const std::string& what, const std::filesystem::path& file);

/// What `load` makes of a kept file, if there is one and `load` takes it. `load` throws tessera::error when it does
/// not: then the file is refused, or, where existing files are replaced, as if it was not there.
template <class Load>
auto resume(const std::filesystem::path& file, const tessera::output_rule& rule, const std::string& remedy, Load&& load)
    -> std::optional<decltype(load())> {
    if (file.empty() || !std::filesystem::exists(file)) return std::nullopt;
    try {
        auto found = load();
        std::cout << "note: going on from " << path_text(file) << '\n' << std::flush;
        return found;
    } catch (const tessera::error& e) {
        if (rule.existing == tessera::existing_file::replace) return std::nullopt;
        tessera::fail(e.what(), "; --force begins anew, ", remedy, ' ', file.string(), " uses it as it is");
    }
}

}  // namespace cli
