// The 8-bit floats of safetensors files, as plain bits with exact conversions to float.
#pragma once

#include <bit>
#include <cstdint>

#include "tessera/core/half.hpp"

namespace tessera::safetensors {

/// Sign, 4 exponent bits with bias 7, 3 mantissa bits; no infinities, one NaN per sign, largest value 448.
struct float8_e4m3 {
    std::uint8_t bits;

    // Branch-free, as half: the bits in place, then one exact product that also renormalizes subnormals.
    explicit constexpr operator float() const noexcept {
        const std::uint32_t magnitude = bits & 0x7fu;
        const float scaled = std::bit_cast<float>(magnitude << 20) * 0x1p120f;
        const std::uint32_t is_nan = magnitude == 0x7fu ? 0x7fc0'0000u : 0u;
        return std::bit_cast<float>(std::bit_cast<std::uint32_t>(scaled) | is_nan | (bits & 0x80u) << 24);
    }
};

/// The upper 8 bits of a half: 5 exponent bits, 2 mantissa bits, infinities.
struct float8_e5m2 {
    std::uint8_t bits;

    explicit constexpr operator float() const noexcept {
        return tessera::detail::half_value(static_cast<std::uint16_t>(bits << 8));
    }
};

/// A power of two, 2^(bits - 127); 255 is NaN.
struct float8_e8m0 {
    std::uint8_t bits;

    explicit constexpr operator float() const noexcept {
        if (bits == 0) return 0x1p-127f;
        return std::bit_cast<float>(bits == 255 ? 0x7fc0'0000u : static_cast<std::uint32_t>(bits) << 23);
    }
};

}  // namespace tessera::safetensors
