// Is it UTF-8?
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace tessera::gguf {

/// True when the bytes are well-formed UTF-8: shortest forms only, no surrogates, nothing above U+10FFFF (RFC 3629).
[[nodiscard]] constexpr bool is_utf8(std::string_view text) noexcept {
    const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
    for (std::size_t i = 0; i < text.size();) {
        const std::uint8_t lead = byte(i++);
        if (lead < 0x80) continue;
        const std::size_t rest = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : 1;
        if (lead < 0xc2 || lead > 0xf4 || text.size() - i < rest) return false;
        // Only the second byte can still make an overlong form, a surrogate or a number too large.
        const std::uint8_t least = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
        const std::uint8_t most = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
        if (byte(i) < least || byte(i) > most) return false;
        for (std::size_t k = 1; k < rest; ++k)
            if ((byte(i + k) & 0xc0) != 0x80) return false;
        i += rest;
    }
    return true;
}

}  // namespace tessera::gguf
