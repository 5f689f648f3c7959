// The one-byte floats that blocks use as scales: never negative.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

namespace tessera {

/// A power of two: 2^(bits - Bias). Conversion from float takes the power whose inverse is nearest to 1 / x, which is
/// what rounding errors depend on; what is no positive number gives the smallest, what is too large the largest. E8M0
/// of the OCP Microscaling specification has bias 127; byte 255, a NaN there, is never made.
template <int Bias>
struct power_of_two {
    std::uint8_t bits;

    power_of_two() = default;
    explicit power_of_two(float x) noexcept : bits(0) {
        if (!(x > 0.0f)) return;
        int exponent = 0;
        const float fraction = std::frexp(x, &exponent);  // x = fraction * 2^exponent
        const int nearest = exponent - (fraction < 2.0f / 3.0f ? 1 : 0) + Bias;
        bits = static_cast<std::uint8_t>(!std::isfinite(x) || nearest > 254 ? 254 : nearest < 0 ? 0 : nearest);
    }
    explicit constexpr operator float() const noexcept {
        const int exponent = bits - Bias;
        return exponent >= -126 ? std::bit_cast<float>(static_cast<std::uint32_t>(exponent + 127) << 23)
                                : std::bit_cast<float>(std::uint32_t{1} << (exponent + 149));  // a subnormal
    }
    friend constexpr bool operator==(power_of_two, power_of_two) = default;

    static constexpr std::uint8_t highest_bits = 254;
};
using e8m0 = power_of_two<127>;

/// Four bits of exponent, three of mantissa, no sign: (1 + mantissa / 8) * 2^(exponent - Bias), with subnormals. Byte
/// 127 is a NaN in the standard and decodes to 0, as in readers of GGUF; otherwise bit 7 is ignored. Conversion from
/// float rounds to nearest and saturates; what is no positive number gives 0.
template <int Bias>
struct unsigned_e4m3 {
    std::uint8_t bits;

    unsigned_e4m3() = default;
    explicit unsigned_e4m3(float x) noexcept : bits(0) {
        if (!(x > 0.0f)) return;
        // The values of codes 0..126 ascend, so the nearest is one of two neighbours.
        std::uint8_t low = 0, high = highest_bits;
        while (high - low > 1) {
            const auto middle = static_cast<std::uint8_t>((low + high) / 2);
            (value(middle) <= x ? low : high) = middle;
        }
        bits = x - value(low) <= value(high) - x ? low : high;
    }
    explicit constexpr operator float() const noexcept {
        return bits == 0x7f ? 0.0f : value(static_cast<std::uint8_t>(bits & 0x7fu));
    }
    friend constexpr bool operator==(unsigned_e4m3, unsigned_e4m3) = default;

    static constexpr std::uint8_t highest_bits = 126;

private:
    static constexpr float value(std::uint8_t code) noexcept {
        const unsigned exponent = code >> 3, mantissa = code & 7u;
        const auto power = [](int n) { return std::bit_cast<float>(static_cast<std::uint32_t>(n + 127) << 23); };
        return exponent == 0 ? static_cast<float>(mantissa) * power(-2 - Bias)
                             : static_cast<float>(8 + mantissa) * power(static_cast<int>(exponent) - Bias - 3);
    }
};
using ue4m3 = unsigned_e4m3<7>;

}  // namespace tessera
