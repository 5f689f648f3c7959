// UTF-8, leniently and strictly.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace tessera {

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

/// Whether all of a text is well-formed.
[[nodiscard]] constexpr bool is_utf8(std::string_view text) noexcept { return valid_utf8_prefix(text) == text.size(); }

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
    if (c < 0x80) {
        out += static_cast<char>(c);
        return;
    }
    if (c < 0x800) {
        out += static_cast<char>(0xc0 | c >> 6);
    } else if (c < 0x10000) {
        out += static_cast<char>(0xe0 | c >> 12);
        continuation(6);
    } else {
        out += static_cast<char>(0xf0 | c >> 18);
        continuation(12);
        continuation(6);
    }
    continuation(0);
}

}  // namespace tessera
