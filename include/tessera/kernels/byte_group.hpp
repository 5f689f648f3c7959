// Eight bytes that are added and negated as one integer: the codes of a group of eight weights.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace tessera::kernels {

/// Eight bytes, the first in the lowest bits.
using byte_group = std::uint64_t;

/// The same byte eight times.
[[nodiscard]] constexpr byte_group repeat_byte(std::uint8_t byte) noexcept { return byte * 0x0101'0101'0101'0101u; }

/// Entry b: byte j is 255 where bit j of b is set, else 0. A look-up beats seven operations.
inline constexpr auto byte_masks = [] {
    std::array<byte_group, 256> masks{};
    for (std::size_t bits = 0; bits < masks.size(); ++bits)
        for (unsigned j = 0; j < 8; ++j)
            if (bits >> j & 1) masks[bits] |= byte_group{0xff} << (8 * j);
    return masks;
}();

/// Eight nibbles, the lowest first, as eight bytes.
[[nodiscard]] constexpr byte_group spread_nibbles(std::uint32_t nibbles) noexcept {
    byte_group spread = nibbles;
    spread = (spread | spread << 16) & 0x0000'ffff'0000'ffffu;
    spread = (spread | spread << 8) & 0x00ff'00ff'00ff'00ffu;
    return (spread | spread << 4) & 0x0f0f'0f0f'0f0f'0f0fu;
}

/// Adds `step` to each of eight signed bytes. No sum leaves the range of a byte.
[[nodiscard]] constexpr byte_group add_to_bytes(byte_group bytes, int step) noexcept {
    constexpr byte_group bias = repeat_byte(0x80);  // unsigned bytes around 128: nothing is carried or borrowed
    return ((bytes ^ bias) + static_cast<byte_group>(step) * repeat_byte(1)) ^ bias;
}

/// Negates byte j where bit j of `bits` is set. No byte is 0.
[[nodiscard]] constexpr byte_group negate_bytes(byte_group bytes, std::uint8_t bits) noexcept {
    const byte_group mask = byte_masks[bits];
    return (bytes ^ mask) + (mask & repeat_byte(1));  // of a byte that is not 0 the complement is below 255: no carry
}

}  // namespace tessera::kernels
