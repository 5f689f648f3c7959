// Menus: the formats a strategy may choose from.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/core/tensor_info.hpp"
#include "tessera/select/rules.hpp"

namespace tessera::select {

/// Whether a tensor may keep the type it is stored in, without damage.
enum class stored_type { excluded, allowed };

/// Formats to choose from, in no order.
struct menu {
    std::vector<type_layout> formats;
    stored_type stored = stored_type::allowed;

    /// The layouts this tensor may be written in, each once: those whose blocks its rows fill; when there is none, what
    /// `available` has instead of them.
    [[nodiscard]] std::vector<type_layout> of(const tensor_info& info, std::span<const type_layout> available) const {
        std::vector<type_layout> found;
        const auto add = [&](const type_layout& layout) {
            if (std::ranges::find(found, layout.id, &type_layout::id) == found.end()) found.push_back(layout);
        };
        for (const type_layout& format : formats)
            if (info.columns() % format.block_size == 0) add(format);
        if (found.empty())
            for (const type_layout& format : formats) add(fitting(info, format, available));
        if (stored == stored_type::allowed) add(info.layout);
        return found;
    }
};

/// A named menu. The names are part of the command line.
struct menu_preset {
    std::string_view name;
    std::string_view formats;  ///< separated by commas; those that a list lacks are left out

    [[nodiscard]] bool has(std::string_view format) const noexcept {
        for (std::string_view rest = formats; !rest.empty();) {
            const std::string_view first = rest.substr(0, rest.find(','));
            if (same_format_name(first, format)) return true;
            rest.remove_prefix(std::min(rest.size(), first.size() + 1));
        }
        return false;
    }
};

inline constexpr std::array menu_presets = std::to_array<menu_preset>({
    {"kquants", "Q8_0,Q6_K,Q5_K,Q4_K,Q3_K,Q2_K"},
    {"kquants-iquants", "Q8_0,Q6_K,Q5_K,Q4_K,IQ4_NL,IQ4_XS,Q3_K,IQ3_S,IQ3_XXS,Q2_K,IQ2_S,IQ2_XS,IQ2_XXS,IQ1_M,IQ1_S"},
    {"arm-friendly", "Q8_0,Q5_1,Q5_0,Q4_1,Q4_0,IQ4_NL"},
    {"legacy", "Q8_0,Q5_1,Q5_0,Q4_1,Q4_0"},
});

namespace detail {

/// What names may stand for.
struct menu_formats {
    std::span<const type_layout> all, portable;
};

inline void add_name(menu& chosen, std::string_view name, const menu_formats& formats) {
    const auto add = [&](const type_layout& format) {
        const auto is_it = [&](const type_layout& other) { return other.id == format.id; };
        if (std::none_of(chosen.formats.begin(), chosen.formats.end(), is_it)) chosen.formats.push_back(format);
    };
    const bool is_all = name == "newest" || name == "all",
               is_portable = name == "portable" && !formats.portable.empty();
    if (name == "stored" || is_all || is_portable) {
        chosen.stored = stored_type::allowed;
        if (name != "stored") std::ranges::for_each(is_all ? formats.all : formats.portable, add);
        return;
    }
    for (const menu_preset& preset : menu_presets) {
        const auto is_in_preset = [&](const type_layout& format) { return preset.has(format.name); };
        if (preset.name != name || std::ranges::none_of(formats.all, is_in_preset)) continue;
        chosen.stored = stored_type::allowed;
        for (const type_layout& format : formats.all)
            if (is_in_preset(format)) add(format);
        return;
    }
    if (const type_layout* format = find_layout(formats.all, name)) return add(*format);
    std::string known = formats.portable.empty() ? "newest, stored" : "portable, newest, stored";
    for (const menu_preset& preset : menu_presets) known += ", " + std::string(preset.name);
    for (const type_layout& format : formats.all) known += ", " + std::string(format.name);
    fail("formats to choose from: wanted some of ", known, ", got ", name.empty() ? "nothing" : name);
}

inline void add_names(menu& chosen, std::string_view names, const menu_formats& formats) {
    while (true) {
        const std::size_t comma = names.find(',');
        add_name(chosen, names.substr(0, comma), formats);
        if (comma == std::string_view::npos) return;
        names.remove_prefix(comma + 1);
    }
}

}  // namespace detail

/// A menu from names of `formats` and presets, separated by commas: "arm-friendly,Q6_K". "portable" is all of
/// `portable`, where some are given; "newest", or "all", is all of `formats`; "stored" adds the type a tensor is stored
/// in, as every preset does. Throws on any other name.
[[nodiscard]] inline menu parse_menu(std::string_view text, std::span<const type_layout> formats,
                                     std::span<const type_layout> portable = {}) {
    menu chosen{.formats = {}, .stored = stored_type::excluded};
    detail::add_names(chosen, text, {formats, portable});
    return chosen;
}

/// The same with the formats of a list.
template <class Formats>
[[nodiscard]] menu parse_menu(std::string_view text) {
    return parse_menu(text, Formats::layouts, Formats::portable());
}

}  // namespace tessera::select
