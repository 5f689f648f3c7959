// An independent decoder, one weight at a time, written from the layout tables alone. Shares nothing with the library
// but the type ids.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <stdexcept>

#include "tessera/core/type_id.hpp"

namespace scalar_decoder {

inline float half_at(const std::uint8_t* b) {
    const unsigned bits = b[0] | static_cast<unsigned>(b[1]) << 8;
    const unsigned exponent = (bits >> 10) & 31, fraction = bits & 1023;
    double value = exponent == 31  ? (fraction ? std::nan("") : HUGE_VAL)
                   : exponent == 0 ? std::ldexp(fraction, -24)
                                   : std::ldexp(1024 + fraction, static_cast<int>(exponent) - 25);
    return static_cast<float>(bits & 0x8000 ? -value : value);
}

inline float float_at(std::uint32_t bits) {
    float value;
    static_assert(sizeof value == sizeof bits);
    __builtin_memcpy(&value, &bits, sizeof value);
    return value;
}

inline std::uint32_t u32_at(const std::uint8_t* b) {
    return b[0] | static_cast<std::uint32_t>(b[1]) << 8 | static_cast<std::uint32_t>(b[2]) << 16 |
           static_cast<std::uint32_t>(b[3]) << 24;
}

/// Weight i of the block at b.
inline float weight(tessera::type_id type, const std::uint8_t* b, std::size_t i) {
    using tessera::type_id;
    switch (type) {
        case type_id::f32: return float_at(u32_at(b));
        case type_id::f16: return half_at(b);
        case type_id::bf16: return float_at((b[0] | static_cast<std::uint32_t>(b[1]) << 8) << 16);
        case type_id::q8_0: return static_cast<float>(static_cast<std::int8_t>(b[2 + i])) * half_at(b);
        case type_id::q4_0: {
            const int nibble = i < 16 ? b[2 + i] & 15 : b[2 + i - 16] >> 4;
            return static_cast<float>(nibble - 8) * half_at(b);
        }
        case type_id::q4_k: {
            const std::uint8_t* s = b + 4;
            const std::size_t j = i / 32;
            const int scale = j < 4 ? s[j] & 63 : (s[j + 4] & 15) | (s[j - 4] >> 6) << 4;
            const int min = j < 4 ? s[j + 4] & 63 : (s[j + 4] >> 4) | (s[j] >> 6) << 4;
            const std::uint8_t byte = b[16 + 32 * (i / 64) + i % 32];
            const int code = j % 2 == 0 ? byte & 15 : byte >> 4;
            return half_at(b) * static_cast<float>(scale) * static_cast<float>(code) -
                   half_at(b + 2) * static_cast<float>(min);
        }
        case type_id::q6_k: {
            const std::size_t h = i / 128, g = i % 128 / 32, l = i % 32;
            const std::uint8_t low = b[64 * h + 32 * (g & 1) + l];
            const int nibble = g < 2 ? low & 15 : low >> 4;
            const int high = b[128 + 32 * h + l] >> (2 * g) & 3;
            const auto scale = static_cast<std::int8_t>(b[192 + i / 16]);
            return half_at(b + 208) * static_cast<float>(scale) * static_cast<float>((nibble | high << 4) - 32);
        }
        default: throw std::logic_error("scalar_decoder: a new format needs its decoding written here");
    }
}

}  // namespace scalar_decoder
