// Strings as Python sees them: code points, white space, letters.
#pragma once

#include <utf8proc.h>

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>

#include "tessera/core/utf8.hpp"

namespace tessera::jinja {

/// Calls visit(character) with every character's bytes, from the left.
template <class Visit>
constexpr void for_each_character(std::string_view text, Visit&& visit) {
    while (!text.empty()) {
        const std::size_t length = utf8_length(text[0]);
        visit(text.substr(0, length));
        text.remove_prefix(length);
    }
}

/// How many code points a text has.
[[nodiscard]] constexpr std::size_t length_of(std::string_view text) noexcept {
    return static_cast<std::size_t>(
        std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

/// The offset in bytes of code point `index`; the text's size when it has no more than that.
[[nodiscard]] constexpr std::size_t byte_offset(std::string_view text, std::size_t index) noexcept {
    std::size_t at = 0;
    for (; index > 0 && at < text.size(); --index) at += utf8_length(text[at]);
    return at;
}

/// White space as str.isspace and str.strip have it.
[[nodiscard]] constexpr bool is_space(char32_t c) noexcept {
    return (c >= 9 && c <= 13) || (c >= 0x1c && c <= 0x20) || c == 0x85 || c == 0xa0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

/// Bytes of the white space at the front of a text.
[[nodiscard]] constexpr std::size_t leading_space(std::string_view text) noexcept {
    std::size_t at = 0;
    while (at < text.size() && is_space(code_point(text.substr(at)))) at += utf8_length(text[at]);
    return at;
}

/// A text without the characters at its ends that `drop(character)` says yes to.
enum class ends { left, right, both };
template <class Drop>
[[nodiscard]] constexpr std::string_view stripped(std::string_view text, ends which, Drop&& drop) {
    while (which != ends::right && !text.empty()) {
        const std::size_t length = utf8_length(text[0]);
        if (!drop(text.substr(0, length))) break;
        text.remove_prefix(length);
    }
    while (which != ends::left && !text.empty()) {
        std::size_t start = text.size() - 1;
        while ((static_cast<unsigned char>(text[start]) & 0xc0) == 0x80) --start;
        if (!drop(text.substr(start))) break;
        text.remove_suffix(text.size() - start);
    }
    return text;
}
[[nodiscard]] constexpr std::string_view stripped(std::string_view text, ends which = ends::both) {
    return stripped(text, which, [](std::string_view c) { return is_space(code_point(c)); });
}

/// A letter in the other case; anything else as it is.
[[nodiscard]] inline char32_t lower(char32_t c) noexcept {
    return static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c)));
}
[[nodiscard]] inline char32_t upper(char32_t c) noexcept {
    return static_cast<char32_t>(utf8proc_toupper(static_cast<utf8proc_int32_t>(c)));
}

[[nodiscard]] inline std::string lower(std::string_view text) {
    std::string out;
    for_each_character(text, [&](std::string_view c) { append_code_point(out, lower(code_point(c))); });
    return out;
}
[[nodiscard]] inline std::string upper(std::string_view text) {
    std::string out;
    for_each_character(text, [&](std::string_view c) {
        if (c == "\xc3\x9f")
            out += "SS";  // ß
        else
            append_code_point(out, upper(code_point(c)));
    });
    return out;
}
/// The first character as a capital, the rest small.
[[nodiscard]] inline std::string capitalized(std::string_view text) {
    if (text.empty()) return {};
    const std::size_t first = utf8_length(text[0]);
    return upper(text.substr(0, first)) + lower(text.substr(first));
}

[[nodiscard]] constexpr bool is_digit(char32_t c) noexcept { return c >= '0' && c <= '9'; }
/// Whether the general category of a code point begins so: 'L' are all letters.
[[nodiscard]] inline bool is_of_category(char32_t c, char first_letter) noexcept {
    return utf8proc_category_string(static_cast<utf8proc_int32_t>(c))[0] == first_letter;
}
[[nodiscard]] inline bool is_letter(char32_t c) noexcept { return is_of_category(c, 'L'); }

}  // namespace tessera::jinja
