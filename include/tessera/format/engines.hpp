// Which builds of llama.cpp run a format, and on which of its back ends.
#pragma once

#include <algorithm>
#include <array>
#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tessera/format/concepts.hpp"

namespace tessera {

/// A build of llama.cpp, as its releases are numbered, and the month it is from.
struct engine_build {
    std::uint32_t number = 0;  ///< 0: none
    std::string_view month = {};

    [[nodiscard]] constexpr bool exists() const noexcept { return number != 0; }
};

/// The first build of llama.cpp whose back ends multiply by matrices of a format; none where no kernel for it was
/// found. Where the bytes of a format were changed, the first that reads today's. Source: llama.cpp's history up to
/// b10572 (August 2026).
struct engines {
    engine_build cpu = {}, cuda = {}, metal = {}, vulkan = {}, sycl = {};
};

struct back_end {
    std::string_view name;
    engine_build engines::* build;
};
/// The CPU, which reads whatever llama.cpp reads, is the first.
inline constexpr std::array back_ends = std::to_array<back_end>({{"CPU", &engines::cpu},
                                                                 {"CUDA", &engines::cuda},
                                                                 {"Metal", &engines::metal},
                                                                 {"Vulkan", &engines::vulkan},
                                                                 {"SYCL", &engines::sycl}});

/// Of formats that every back end ran from its first day, or that are older than the last of them: the first build that
/// has all five. Older builds are not told apart.
inline constexpr engine_build every_back_end{1996, "January 2024"};
inline constexpr engines all_engines{every_back_end, every_back_end, every_back_end, every_back_end, every_back_end};

/// Formats are portable that this build runs on the CPU, CUDA, Metal and Vulkan alike. Programs on top of llama.cpp
/// follow it months later.
inline constexpr engine_build portable_build{5249, "May 2025"};

/// A format that says which engines run it, as every built-in one does: F::runs_on. Other formats need not; no engine
/// is known for them.
template <class F>
concept engine_format = block_format<F> && std::convertible_to<decltype(F::runs_on), engines>;

template <block_format F>
inline constexpr engines engines_of = [] {
    if constexpr (engine_format<F>)
        return engines(F::runs_on);
    else
        return engines{};
}();

[[nodiscard]] constexpr bool is_portable(const engines& runs_on) noexcept {
    const auto runs = [](engine_build b) { return b.exists() && b.number <= portable_build.number; };
    return runs(runs_on.cpu) && runs(runs_on.cuda) && runs(runs_on.metal) && runs(runs_on.vulkan);
}

/// What a file needs that holds several formats.
class engine_needs {
public:
    /// A format that the file holds; once for each.
    void add(std::string_view format, const engines& runs_on) { formats_.push_back({format, runs_on}); }

    /// The first build whose back end runs all the formats; none where it lacks one of them.
    [[nodiscard]] engine_build build(const back_end& on) const {
        engine_build latest;
        for (const entry& f : formats_) {
            const engine_build first = f.runs_on.*on.build;
            if (!first.exists()) return {};
            if (first.number > latest.number) latest = first;
        }
        return latest;
    }

    /// The formats that are not portable.
    [[nodiscard]] std::vector<std::string_view> not_portable() const {
        std::vector<std::string_view> names;
        for (const entry& f : formats_)
            if (!is_portable(f.runs_on)) names.push_back(f.format);
        return names;
    }

    /// "llama.cpp from b2281 (February 2024), on Vulkan from b4648 (February 2025); no CUDA or SYCL for TQ2_0": the
    /// build that reads the formats, back ends that came to it later, and those that lack some. Formats are in the
    /// order they were added. (A template: sorting and searching are compiled where the sentence is asked for.)
    template <class = void>
    [[nodiscard]] std::string text() const {
        std::string unread;
        for (const entry& f : formats_)
            if (!f.runs_on.cpu.exists()) unread += (unread.empty() ? "" : ", ") + std::string(f.format);
        if (!unread.empty()) return "a reader of your own: llama.cpp does not know " + unread;
        const engine_build read = build(back_ends.front());
        if (!read.exists()) return "any llama.cpp";
        return "llama.cpp from " + text_of(read) + later_text(read) + lacking_text();
    }

private:
    struct entry {
        std::string_view format;
        engines runs_on;
    };

    [[nodiscard]] static std::string text_of(engine_build b) {
        return "b" + std::to_string(b.number) + " (" + std::string(b.month) + ")";
    }
    // "CUDA, Metal or SYCL"
    [[nodiscard]] static std::string list(const std::vector<std::string_view>& names, std::string_view last) {
        std::string text;
        for (std::size_t i = 0; i < names.size(); ++i) {
            if (i > 0) text += i + 1 < names.size() ? ", " : " " + std::string(last) + " ";
            text += names[i];
        }
        return text;
    }

    // Back ends that run everything, but from a later build on, the oldest first.
    template <class = void>
    [[nodiscard]] std::string later_text(engine_build read) const {
        struct later {
            engine_build from;
            std::vector<std::string_view> names;
        };
        std::vector<later> all;
        for (const back_end& on : back_ends) {
            const engine_build from = build(on);
            if (from.number <= read.number) continue;
            const auto same = std::ranges::find(all, from.number, [](const later& l) { return l.from.number; });
            if (same == all.end())
                all.push_back({from, {on.name}});
            else
                same->names.push_back(on.name);
        }
        std::ranges::sort(all, {}, [](const later& l) { return l.from.number; });
        std::string text;
        for (const later& l : all) text += ", on " + list(l.names, "and") + " from " + text_of(l.from);
        return text;
    }

    // Formats that lack the same back ends come together.
    template <class = void>
    [[nodiscard]] std::string lacking_text() const {
        std::vector<std::pair<std::vector<std::string_view>, std::vector<std::string_view>>> all;
        for (const entry& f : formats_) {
            std::vector<std::string_view> without;
            for (const back_end& on : back_ends)
                if (!(f.runs_on.*on.build).exists()) without.push_back(on.name);
            if (without.empty()) continue;
            const auto same = std::ranges::find(all, without, [](const auto& pair) { return pair.first; });
            if (same == all.end())
                all.push_back({without, {f.format}});
            else
                same->second.push_back(f.format);
        }
        std::string text;
        for (const auto& [without, formats] : all)
            text += "; no " + list(without, "or") + " for " + list(formats, "and");
        return text;
    }

    std::vector<entry> formats_;
};

}  // namespace tessera
