// The two 16-bit floats of model files, as plain bits with exact conversions.
#pragma once

#include <bit>
#include <cstdint>

namespace tessera {

namespace detail {

// Rounds to nearest even; keeps subnormals; overflows to infinity; NaN stays a (quiet) NaN.
constexpr std::uint16_t half_bits(float x) noexcept {
    const std::uint32_t bits = std::bit_cast<std::uint32_t>(x);
    const std::uint32_t sign = (bits >> 16) & 0x8000u;
    const std::uint32_t magnitude = bits & 0x7fff'ffffu;
    if (magnitude > 0x7f80'0000u) return static_cast<std::uint16_t>(sign | 0x7e00u | ((magnitude >> 13) & 0x1ffu));
    if (magnitude >= 0x4780'0000u) return static_cast<std::uint16_t>(sign | 0x7c00u);  // >= 2^16
    std::uint32_t shift = 13;
    std::uint32_t mantissa = magnitude;
    std::uint32_t bias = 112u << 10;
    if (magnitude < 0x3880'0000u) {  // below 2^-14: a subnormal half counts units of 2^-24
        if (magnitude < 0x3300'0000u) return static_cast<std::uint16_t>(sign);  // < 2^-25 rounds to zero
        const std::uint32_t exponent = magnitude >> 23;
        mantissa = (magnitude & 0x7f'ffffu) | 0x80'0000u;
        shift = 126u - exponent;
        bias = 0;
    }
    const std::uint32_t kept = mantissa >> shift;
    const std::uint32_t rest = mantissa & ((1u << shift) - 1u);
    const std::uint32_t midpoint = 1u << (shift - 1u);
    const std::uint32_t up = (rest > midpoint || (rest == midpoint && (kept & 1u))) ? 1u : 0u;
    return static_cast<std::uint16_t>(sign | (kept - bias + up));  // a carry moves into the exponent, as it should
}

// Branch-free, so that loops over it vectorize: scale the bits into place and let the FPU renormalize subnormals.
constexpr float half_value(std::uint16_t h) noexcept {
    const std::uint32_t shifted = static_cast<std::uint32_t>(h & 0x7fffu) << 13;
    const float scaled = std::bit_cast<float>(shifted) * 0x1p112f;
    const std::uint32_t is_special = (h & 0x7c00u) == 0x7c00u ? 0x7f80'0000u : 0u;
    const std::uint32_t sign = static_cast<std::uint32_t>(h & 0x8000u) << 16;
    return std::bit_cast<float>(std::bit_cast<std::uint32_t>(scaled) | is_special | sign);
}

constexpr std::uint16_t bfloat16_bits(float x) noexcept {
    const std::uint32_t bits = std::bit_cast<std::uint32_t>(x);
    if ((bits & 0x7fff'ffffu) > 0x7f80'0000u) return static_cast<std::uint16_t>((bits >> 16) | 64u);
    return static_cast<std::uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

}  // namespace detail

/// IEEE 754 binary16. Conversion from float rounds to nearest even.
struct half {
    std::uint16_t bits;

    half() = default;
    explicit constexpr half(float x) noexcept : bits(detail::half_bits(x)) {}
    explicit constexpr operator float() const noexcept { return detail::half_value(bits); }
    friend constexpr bool operator==(half, half) = default;  // of the bits: -0 differs from 0
};

/// The upper 16 bits of a binary32. Conversion from float rounds to nearest even.
struct bfloat16 {
    std::uint16_t bits;

    bfloat16() = default;
    explicit constexpr bfloat16(float x) noexcept : bits(detail::bfloat16_bits(x)) {}
    explicit constexpr operator float() const noexcept {
        return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
    }
    friend constexpr bool operator==(bfloat16, bfloat16) = default;
};

}  // namespace tessera
