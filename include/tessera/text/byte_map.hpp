// The alphabet in which byte-level vocabularies spell bytes as printable characters.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "tessera/core/utf8.hpp"

namespace tessera::text {

namespace detail {

constexpr bool is_spelled_as_itself(unsigned byte) noexcept {
    return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
}

// Bytes without a printable character of their own take U+0100, U+0101, ... in ascending order.
inline constexpr auto byte_to_code_point = [] {
    std::array<std::uint16_t, 256> map{};
    std::uint16_t next = 0x100;
    for (unsigned byte = 0; byte < 256; ++byte)
        map[byte] = is_spelled_as_itself(byte) ? static_cast<std::uint16_t>(byte) : next++;
    return map;
}();

inline constexpr auto code_point_to_byte = [] {
    std::array<std::int16_t, 0x144> map{};
    for (auto& byte : map) byte = -1;
    for (unsigned byte = 0; byte < 256; ++byte) map[byte_to_code_point[byte]] = static_cast<std::int16_t>(byte);
    return map;
}();

}  // namespace detail

/// Appends the character that stands for one byte.
inline void append_spelled_byte(std::string& out, char byte) {
    append_code_point(out, detail::byte_to_code_point[static_cast<unsigned char>(byte)]);
}

/// Appends `text` with every byte spelled as a character.
inline void append_spelled(std::string& out, std::string_view text) {
    for (const char byte : text) append_spelled_byte(out, byte);
}

/// Appends the bytes that `spelled` stands for; a character outside the alphabet stands for its own UTF-8 bytes.
inline void append_unspelled(std::string& out, std::string_view spelled) {
    while (!spelled.empty()) {
        std::size_t length = 1;
        unsigned code_point = static_cast<unsigned char>(spelled[0]);
        if (valid_utf8_length(spelled) == 2) {
            length = 2;
            code_point = (code_point & 0x1fu) << 6 | (static_cast<unsigned char>(spelled[1]) & 0x3fu);
        } else if (code_point >= 0x80) {
            code_point = 0xffff;  // a longer character, or a stray byte: passed on as it is
        }
        const int byte = code_point < detail::code_point_to_byte.size() ? detail::code_point_to_byte[code_point] : -1;
        if (byte >= 0)
            out += static_cast<char>(byte);
        else
            out.append(spelled.substr(0, length));
        spelled.remove_prefix(length);
    }
}

}  // namespace tessera::text
