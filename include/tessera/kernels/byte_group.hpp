// Eight bytes that are added and negated as one integer: a group of eight codes between table and register.
#pragma once

#include <cstdint>

namespace tessera::kernels {

/// Eight bytes, the first in the lowest bits.
using byte_group = std::uint64_t;

/// The same byte eight times.
[[nodiscard]] constexpr byte_group repeat_byte(std::uint8_t byte) noexcept { return byte * 0x0101'0101'0101'0101u; }

/// Byte j of the result is 1 where bit j of `bits` is set, else 0.
[[nodiscard]] constexpr byte_group spread_bits(std::uint8_t bits) noexcept {
    const byte_group one_bit_each = repeat_byte(bits) & 0x8040'2010'0804'0201u;  // bit j stays in byte j only
    return ((one_bit_each + repeat_byte(0x7f)) >> 7) & repeat_byte(1);
}

/// Byte by byte a + b; no carry leaves a byte.
[[nodiscard]] constexpr byte_group add_bytes(byte_group a, byte_group b) noexcept {
    constexpr byte_group tops = repeat_byte(0x80);
    return ((a & ~tops) + (b & ~tops)) ^ ((a ^ b) & tops);
}

/// Negates byte j where bit j of `bits` is set. No byte is 0.
[[nodiscard]] constexpr byte_group negate_bytes(byte_group bytes, std::uint8_t bits) noexcept {
    const byte_group ones = spread_bits(bits);
    return (bytes ^ (ones * 0xff)) + ones;  // of a byte that is not 0 the complement is below 255: no carry
}

}  // namespace tessera::kernels
