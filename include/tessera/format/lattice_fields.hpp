// Bit fields that the layouts of lattice formats share.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "tessera/kernels/byte_group.hpp"

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

namespace detail {
inline constexpr auto even_signs = [] {
    std::array<std::uint8_t, 128> all{};
    for (unsigned low = 0; low < all.size(); ++low)
        all[low] = static_cast<std::uint8_t>(low | static_cast<unsigned>(std::popcount(low) % 2) << 7);
    return all;
}();
}  // namespace detail

/// Eight signs from the low seven bits of `bits`; the eighth makes their number even.
[[nodiscard]] constexpr std::uint8_t even_signs(std::uint32_t bits) noexcept { return detail::even_signs[bits & 127]; }

/// Nibbles, the low one of each byte first.
template <std::size_t N>
[[nodiscard]] std::array<std::uint8_t, 2 * N> load_nibbles(const std::array<std::uint8_t, N>& bytes) noexcept {
    static_assert(N % 4 == 0);
    std::array<std::uint8_t, 2 * N> nibbles;
    for (std::size_t i = 0; i < N; i += 4) {
        std::uint32_t packed;
        std::memcpy(&packed, bytes.data() + i, sizeof packed);
        const kernels::byte_group spread = kernels::spread_nibbles(packed);
        std::memcpy(nibbles.data() + 2 * i, &spread, sizeof spread);
    }
    return nibbles;
}
template <std::size_t N>
[[nodiscard]] constexpr std::array<std::uint8_t, N / 2> store_nibbles(
    const std::array<std::uint8_t, N>& nibbles) noexcept {
    std::array<std::uint8_t, N / 2> bytes{};
    for (std::size_t i = 0; i < N; i += 2) bytes[i / 2] = static_cast<std::uint8_t>(nibbles[i] | nibbles[i + 1] << 4);
    return bytes;
}

}  // namespace tessera::layouts
