// Bit fields that the layouts of lattice formats share.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace tessera::layouts {

/// A 32-bit number in two halves, the low one first: keeps blocks aligned to two bytes.
[[nodiscard]] constexpr std::uint32_t word(std::array<std::uint16_t, 2> halves) noexcept {
    return halves[0] | static_cast<std::uint32_t>(halves[1]) << 16;
}
/// Sets the bits of `bits` in such a number.
constexpr void add_word(std::uint32_t bits, std::array<std::uint16_t, 2>& halves) noexcept {
    halves[0] = static_cast<std::uint16_t>(halves[0] | bits);
    halves[1] = static_cast<std::uint16_t>(halves[1] | bits >> 16);
}

/// Eight signs from the low seven bits; the eighth makes their number even.
[[nodiscard]] constexpr std::uint8_t even_signs(std::uint32_t bits) noexcept {
    bits &= 127;
    const std::uint32_t folded = (bits ^ bits >> 4) & 15;
    const std::uint32_t parity = 0x6996u >> folded & 1;  // bit n of the constant is the parity of n
    return static_cast<std::uint8_t>(bits | parity << 7);
}

/// Nibbles, the low one of each byte first.
template <std::size_t N>
[[nodiscard]] constexpr std::array<std::uint8_t, 2 * N> load_nibbles(const std::array<std::uint8_t, N>& bytes) noexcept {
    std::array<std::uint8_t, 2 * N> nibbles{};
    for (std::size_t i = 0; i < 2 * N; ++i) nibbles[i] = static_cast<std::uint8_t>((bytes[i / 2] >> (4 * (i % 2))) & 15);
    return nibbles;
}
template <std::size_t N>
[[nodiscard]] constexpr std::array<std::uint8_t, N / 2> store_nibbles(const std::array<std::uint8_t, N>& nibbles) noexcept {
    std::array<std::uint8_t, N / 2> bytes{};
    for (std::size_t i = 0; i < N; i += 2) bytes[i / 2] = static_cast<std::uint8_t>(nibbles[i] | nibbles[i + 1] << 4);
    return bytes;
}

}  // namespace tessera::layouts
