// Text from elsewhere as a terminal, a log or a message may show it.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "tessera/core/utf8.hpp"

namespace tessera {

/// Whether a code point acts on a terminal or on the text around it instead of being shown: controls (C0,
/// DEL, C1), what turns the direction of writing, ends of lines and paragraphs, tags, and invisible operators. Joiners
/// stay text: scripts and emoji need them.
[[nodiscard]] constexpr bool is_control(char32_t c) noexcept {
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x061c || c == 0x180e || c == 0x200b || c == 0x200e ||
           c == 0x200f || (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || c == 0xfeff ||
           (c >= 0xfff9 && c <= 0xfffb) || (c >= 0xe0000 && c <= 0xe007f);
}

namespace detail {

inline void append_hexadecimal(std::string& out, char32_t number, int digits) {
    for (int shift = 4 * digits - 4; shift >= 0; shift -= 4) out += "0123456789abcdef"[number >> shift & 15];
}

// A character that is_control, or a byte that belongs to none.
inline void append_escaped(std::string& out, std::string_view character) {
    const bool is_byte = character.size() == 1;
    const char32_t c = is_byte ? static_cast<unsigned char>(character[0]) : code_point(character);
    out += is_byte ? "\\x" : "\\u{";
    append_hexadecimal(out, c, is_byte || c < 0x100 ? 2 : c < 0x10000 ? 4 : 5);
    if (!is_byte) out += '}';
}

// The bytes at the front of a text that are one character, or one byte that belongs to none; whether it may be shown.
struct text_unit {
    std::size_t bytes;
    bool is_shown;
};
[[nodiscard]] constexpr text_unit first_unit(std::string_view text) noexcept {
    const std::size_t length = valid_utf8_length(text);
    return length == 0 ? text_unit{1, false} : text_unit{length, !is_control(code_point(text))};
}

}  // namespace detail

/// `text` on one line of plain characters: controls are spelled out as `\x1b`, `\u{9b}` or `\u{202e}`, bytes that are
/// no UTF-8 as `\xff`. What is longer than `most` bytes then is cut after a character, and ends in "...".
[[nodiscard]] inline std::string printable(std::string_view text, std::size_t most = std::string::npos) {
    std::string shown;
    while (!text.empty()) {
        if (shown.size() >= most) return shown + "...";
        const auto [bytes, is_shown] = detail::first_unit(text);
        if (is_shown)
            shown += text.substr(0, bytes);
        else
            detail::append_escaped(shown, text.substr(0, bytes));
        text.remove_prefix(bytes);
    }
    return shown;
}

/// The same, cut to about a line's length: a part of a message.
[[nodiscard]] inline std::string excerpt(std::string_view text) { return printable(text, 80); }

/// The same as printable for text of several lines.
[[nodiscard]] inline std::string printable_lines(std::string_view text) {
    std::string shown;
    for (;;) {
        const std::size_t end = text.find('\n');
        shown += printable(text.substr(0, end));
        if (end == text.npos) return shown;
        shown += '\n';
        text.remove_prefix(end + 1);
    }
}

}  // namespace tessera
