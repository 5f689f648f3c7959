// UTF-8, leniently and strictly.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace tessera::text {

/// Bytes of the character that starts with `lead`, told from that byte alone; a stray continuation byte counts as one.
[[nodiscard]] constexpr std::size_t utf8_length(char lead) noexcept {
    const auto byte = static_cast<unsigned char>(lead);
    return byte < 0xc0 ? 1 : byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;
}

/// Bytes of the well-formed character at the front of `text`: 1 to 4, or 0 when there is none (Unicode, table 3-7: no
/// overlong forms, no surrogates, nothing above U+10FFFF).
[[nodiscard]] constexpr std::size_t valid_utf8_length(std::string_view text) noexcept {
    if (text.empty()) return 0;
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    const unsigned lead = byte(0);
    if (lead < 0x80) return 1;
    if (lead < 0xc2 || lead > 0xf4) return 0;
    const std::size_t length = utf8_length(text[0]);
    if (text.size() < length) return 0;
    const unsigned lowest = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    const unsigned highest = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    if (byte(1) < lowest || byte(1) > highest) return 0;
    for (std::size_t i = 2; i < length; ++i)
        if (byte(i) < 0x80 || byte(i) > 0xbf) return 0;
    return length;
}

/// The length of the longest prefix of `text` that is well-formed.
[[nodiscard]] constexpr std::size_t valid_utf8_prefix(std::string_view text) noexcept {
    for (std::size_t at = 0;;) {
        while (at < text.size() && static_cast<unsigned char>(text[at]) < 0x80) ++at;
        const std::size_t length = valid_utf8_length(text.substr(at));
        if (length == 0) return at;
        at += length;
    }
}

/// `text` with U+FFFD in place of every byte that is not part of a well-formed character.
[[nodiscard]] inline std::string repaired_utf8(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    for (;;) {
        const std::size_t good = valid_utf8_prefix(text);
        out.append(text.substr(0, good));
        if (good == text.size()) return out;
        out += "\xef\xbf\xbd";
        text.remove_prefix(good + 1);
    }
}

/// Appends the UTF-8 form of a code point below U+0800.
inline void append_utf8(std::string& out, std::uint32_t code_point) {
    if (code_point < 0x80) {
        out += static_cast<char>(code_point);
    } else {
        out += static_cast<char>(0xc0 | (code_point >> 6));
        out += static_cast<char>(0x80 | (code_point & 0x3f));
    }
}

/// `text` with every occurrence of `from`, which is not empty, replaced by `to`.
[[nodiscard]] inline std::string replaced(std::string_view text, std::string_view from, std::string_view to) {
    std::string out;
    out.reserve(text.size());
    for (;;) {
        const std::size_t found = std::min(text.find(from), text.size());
        out.append(text.substr(0, found));
        if (found == text.size()) return out;
        out.append(to);
        text.remove_prefix(found + from.size());
    }
}

/// U+2581, the visible space of SentencePiece vocabularies.
inline constexpr std::string_view visible_space = "\xe2\x96\x81";

}  // namespace tessera::text
