// The exponential function, written so that loops over it vectorize.
#pragma once

#include <bit>
#include <cstdint>

namespace tessera::kernels {

/// e^x within 1.1 units in the last place. Overflows to infinity, underflows through subnormals to 0, keeps NaN.
/// Must not be compiled with -ffast-math.
[[nodiscard]] inline float exp(float x) noexcept {
    // Beyond +-104 the result is infinite or 0; the limit keeps the exponents below in range. On the bits, because
    // compilers that respect floating-point traps make branches of comparisons with constants, and branches do not
    // vectorize.
    const std::uint32_t bits = std::bit_cast<std::uint32_t>(x);
    const std::uint32_t magnitude = bits & 0x7fff'ffffu;
    constexpr std::uint32_t limit = std::bit_cast<std::uint32_t>(104.0f);
    x = std::bit_cast<float>((magnitude < limit ? magnitude : limit) | (bits & 0x8000'0000u));
    const std::uint32_t nan = magnitude > 0x7f80'0000u ? 0x7fc0'0000u : 0u;

    // x = n ln 2 + r with |r| <= ln 2 / 2. The upper part of ln 2 has so few bits that n times it is exact.
    constexpr float magic = 12582912.0f;  // 1.5 * 2^23: a sum with it has no room for a fraction
    const float shifted = x * 1.44269504f + magic;
    const float n = shifted - magic;
    const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;

    // Taylor's series: its first term left out is below 6e-9.
    float series = 1.0f / 5040;
    series = series * r + 1.0f / 720;
    series = series * r + 1.0f / 120;
    series = series * r + 1.0f / 24;
    series = series * r + 1.0f / 6;
    series = series * r + 0.5f;
    const float power = (series * r) * r + r + 1.0f;

    // Times 2^n in two factors, each a normal float. The low bits of `shifted` are n.
    const std::uint32_t exponent = std::bit_cast<std::uint32_t>(shifted) - std::bit_cast<std::uint32_t>(magic);
    const auto first = static_cast<std::uint32_t>(static_cast<std::int32_t>(exponent) >> 1);
    const std::uint32_t second = exponent - first;
    const float result =
        power * std::bit_cast<float>((first + 127u) << 23) * std::bit_cast<float>((second + 127u) << 23);
    return std::bit_cast<float>(std::bit_cast<std::uint32_t>(result) | nan);
}

}  // namespace tessera::kernels
