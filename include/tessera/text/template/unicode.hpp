// Strings as Python sees them: code points, white space, letters.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "tessera/text/utf8.hpp"

namespace tessera::text::jinja {

/// The code point at the front of well-formed, not empty UTF-8.
[[nodiscard]] constexpr char32_t code_point(std::string_view text) noexcept {
    const auto byte = [&](std::size_t i) { return static_cast<char32_t>(static_cast<unsigned char>(text[i])); };
    switch (utf8_length(text[0])) {
        case 1: return byte(0);
        case 2: return (byte(0) & 0x1f) << 6 | (byte(1) & 0x3f);
        case 3: return (byte(0) & 0x0f) << 12 | (byte(1) & 0x3f) << 6 | (byte(2) & 0x3f);
        default: return (byte(0) & 0x07) << 18 | (byte(1) & 0x3f) << 12 | (byte(2) & 0x3f) << 6 | (byte(3) & 0x3f);
    }
}

/// Appends a code point that is no surrogate.
inline void append_code_point(std::string& out, char32_t c) {
    const auto continuation = [&](unsigned shift) { out += static_cast<char>(0x80 | (c >> shift & 0x3f)); };
    if (c < 0x800) return append_utf8(out, c);
    if (c < 0x10000) {
        out += static_cast<char>(0xe0 | c >> 12);
    } else {
        out += static_cast<char>(0xf0 | c >> 18);
        continuation(12);
    }
    continuation(6);
    continuation(0);
}

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

namespace detail {

// Letters of one alphabet: capitals are `shift` below their small letters, or alternate with them (shift 1, every other).
struct letters {
    char32_t first, last;  // of the capitals
    char32_t shift;
};
inline constexpr std::array<letters, 9> alphabets{{{'A', 'Z', 32},           // Latin
                                                   {0xc0, 0xd6, 32},
                                                   {0xd8, 0xde, 32},
                                                   {0x100, 0x136, 1},
                                                   {0x14a, 0x176, 1},
                                                   {0x391, 0x3ab, 32},       // Greek
                                                   {0x400, 0x40f, 80},       // Cyrillic
                                                   {0x410, 0x42f, 32},
                                                   {0x531, 0x556, 48}}};     // Armenian

constexpr bool in_pair(const letters& l, char32_t capital) {
    return capital >= l.first && capital <= l.last && (l.shift > 1 || (capital - l.first) % 2 == 0);
}

}  // namespace detail

/// The small letter of a capital in the Latin, Greek, Cyrillic and Armenian alphabets; anything else as it is.
[[nodiscard]] constexpr char32_t lower(char32_t c) noexcept {
    if (c == 0x130 || c == 0x3a2) return c;
    for (const detail::letters& l : detail::alphabets)
        if (detail::in_pair(l, c)) return c + l.shift;
    return c == 0x178 ? 0xff : c;
}

/// The capital of a small letter; undoes lower.
[[nodiscard]] constexpr char32_t upper(char32_t c) noexcept {
    if (c == 0x131) return 'I';
    if (c == 0x3c2) return 0x3a3;
    for (const detail::letters& l : detail::alphabets)
        if (c >= l.shift && detail::in_pair(l, c - l.shift) && lower(c - l.shift) == c) return c - l.shift;
    return c == 0xff ? 0x178 : c;
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
/// A letter: of ASCII exactly, beyond it everything that is neither white space nor punctuation of the common blocks.
[[nodiscard]] constexpr bool is_letter(char32_t c) noexcept {
    if (c < 0x80) return (c | 32) >= 'a' && (c | 32) <= 'z';
    return c >= 0xaa && c != 0xab && c != 0xac && !(c >= 0xad && c <= 0xb4) && !(c >= 0xb6 && c <= 0xb9) &&
           !(c >= 0xbb && c <= 0xbf) && c != 0xd7 && c != 0xf7 && !(c >= 0x2000 && c <= 0x206f) &&
           !(c >= 0x2190 && c <= 0x2bff) && !(c >= 0x3000 && c <= 0x3004) && !(c >= 0x1f000 && c <= 0x1faff) &&
           !is_space(c);
}

}  // namespace tessera::text::jinja
