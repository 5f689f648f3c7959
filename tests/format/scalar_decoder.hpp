// An independent decoder, one weight at a time, written from the layout tables alone. Shares nothing with the library
// but the type ids. Everything is computed in double, where it is exact, and rounded to float once.
#pragma once

#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <stdexcept>

#include "format/codebooks.hpp"
#include "tessera/core/type_id.hpp"

namespace scalar_decoder {

/// A little-endian unsigned integer of `size` bytes.
inline std::uint64_t integer_at(const std::uint8_t* b, std::size_t size) {
    std::uint64_t value = 0;
    for (std::size_t i = size; i-- > 0;) value = value << 8 | b[i];
    return value;
}
inline unsigned u16_at(const std::uint8_t* b) { return static_cast<unsigned>(integer_at(b, 2)); }
inline std::uint32_t u32_at(const std::uint8_t* b) { return static_cast<std::uint32_t>(integer_at(b, 4)); }
inline int i8_at(const std::uint8_t* b) { return static_cast<std::int8_t>(*b); }

inline double half_of(unsigned bits) {
    const unsigned exponent = bits >> 10 & 31, fraction = bits & 1023;
    const double value = exponent == 31  ? (fraction ? std::nan("") : std::numeric_limits<double>::infinity())
                         : exponent == 0 ? std::ldexp(fraction, -24)
                                         : std::ldexp(1024 + fraction, static_cast<int>(exponent) - 25);
    return bits & 0x8000 ? -value : value;
}
inline double half_at(const std::uint8_t* b) { return half_of(u16_at(b)); }

/// The scale byte of NVFP4: four exponent bits, three fraction bits; the top bit means nothing. 0x7f alone is zero:
/// with the top bit set it is the number that the rule gives.
inline double ue4m3(unsigned byte) {
    const unsigned exponent = byte >> 3 & 15, fraction = byte & 7;
    if (byte == 0x7f) return 0;
    return exponent == 0 ? std::ldexp(fraction, -9) : std::ldexp(8 + fraction, static_cast<int>(exponent) - 10);
}

inline constexpr std::array iq4_levels{-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
inline constexpr std::array fp4_levels{0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};  // doubled

inline int bit(const std::uint8_t* b, std::size_t i) { return b[i / 8] >> (i % 8) & 1; }
inline int nibble(const std::uint8_t* b, std::size_t i) { return b[i / 2] >> (4 * (i % 2)) & 15; }  // low half first
inline int half_byte(unsigned byte, bool high) { return static_cast<int>(high ? byte >> 4 : byte & 15); }

/// Code i of nibbles laid out in groups of 2 * stride: `stride` low halves, then the high halves of the same bytes.
inline int strided_nibble(const std::uint8_t* b, std::size_t stride, std::size_t i) {
    return half_byte(b[i / (2 * stride) * stride + i % stride], i / stride % 2 == 1);
}

/// Code i of 2-bit codes in groups of 128, 32 bytes a group, four codes 32 apart in each byte.
inline int strided_pair(const std::uint8_t* b, std::size_t i) {
    return b[32 * (i / 128) + i % 32] >> (2 * (i % 128 / 32)) & 3;
}

/// Sub-scale j of Q4_K and Q5_K, and its minimum.
struct scale_and_min {
    int scale, min;
};
inline scale_and_min six_bit_pair(const std::uint8_t* s, std::size_t j) {
    if (j < 4) return {s[j] & 63, s[j + 4] & 63};
    return {(s[j + 4] & 15) | s[j - 4] >> 6 << 4, s[j + 4] >> 4 | s[j] >> 6 << 4};
}

/// Seven bits say the signs of eight elements: the number of negative ones is even.
inline int even_sign(std::uint32_t seven_bits, std::size_t j) {
    const std::uint32_t bits = seven_bits & 127;
    const std::uint32_t mask = bits | static_cast<std::uint32_t>(std::popcount(bits) % 2) << 7;
    return mask >> j & 1 ? -1 : 1;
}
inline int free_sign(const std::uint8_t* signs, std::size_t i) { return bit(signs, i) ? -1 : 1; }

/// Digit n (0 the most significant) of the ternary fraction byte / 256.
inline int ternary_digit(unsigned byte, std::size_t n) {
    for (; n > 0; --n) byte = byte * 3 % 256;
    return static_cast<int>(byte * 3 / 256);
}

inline double lattice_weight(tessera::type_id type, const std::uint8_t* b, std::size_t i) {
    using tessera::type_id;
    const std::size_t group8 = i / 8, group16 = i / 16, group32 = i / 32, j = i % 8, part = i % 32 / 8;
    switch (type) {
        case type_id::iq2_xxs: {
            const std::uint8_t* group = b + 2 + 8 * group32;
            const std::uint32_t word = u32_at(group + 4);
            const double scale = half_at(b) * (0.5 + (word >> 28)) * 0.25;
            return scale * iq2xxs(group[part], j) * even_sign(word >> (7 * part), j);
        }
        case type_id::iq2_xs: {
            const unsigned word = u16_at(b + 2 + 2 * group8);
            const double scale = half_at(b) * (0.5 + nibble(b + 66, group16)) * 0.25;
            return scale * iq2xs(word & 511, j) * even_sign(word >> 9, j);
        }
        case type_id::iq2_s: {
            const unsigned high = b[66 + group32] >> (2 * part) & 3;
            const double scale = half_at(b) * (0.5 + nibble(b + 74, group16)) * 0.25;
            return scale * iq2s(b[2 + group8] | high << 8, j) * free_sign(b + 34, i);
        }
        case type_id::iq3_xxs: {
            const std::uint32_t word = u32_at(b + 66 + 4 * group32);
            const double scale = half_at(b) * (0.5 + (word >> 28)) * 0.5;
            return scale * iq3xxs(b[2 + i / 4], i % 4) * even_sign(word >> (7 * part), j);
        }
        case type_id::iq3_s: {
            const int high = bit(b + 66, i / 4);
            const double scale = half_at(b) * (1 + 2 * nibble(b + 106, group32));
            return scale * iq3s(b[2 + i / 4] + 256u * static_cast<unsigned>(high), i % 4) * free_sign(b + 74, i);
        }
        case type_id::iq1_s: {
            const unsigned word = u16_at(b + 34 + 2 * group32);
            const double scale = half_at(b) * (2 * (word >> 12 & 7) + 1);
            const unsigned high = word >> (3 * part) & 7;
            return scale * (iq1s(b[2 + group8] | high << 8, j) + (word >> 15 ? -0.125 : 0.125));
        }
        case type_id::iq1_m: {
            unsigned scale_bits = 0;
            for (std::size_t k = 0; k < 4; ++k) scale_bits |= (u16_at(b + 48 + 2 * k) >> 12) << (4 * k);
            const unsigned sub_scale = u16_at(b + 48 + 2 * (group16 / 4)) >> (3 * (group16 % 4)) & 7;
            const auto high = static_cast<unsigned>(nibble(b + 32, group8));
            const double delta = high & 8 ? -0.125 : 0.125;
            return half_of(scale_bits) * (2 * sub_scale + 1) * (iq1s(b[group8] | (high & 7) << 8, j) + delta);
        }
        default: throw std::logic_error("scalar_decoder: a new format needs its decoding written here");
    }
}

inline double exact_weight(tessera::type_id type, const std::uint8_t* b, std::size_t i) {
    using tessera::type_id;
    if (type == type_id{42})  // Q2_0
        return half_at(b) * ((b[2 + i / 4] >> (2 * (i % 4)) & 3) - 1);
    switch (type) {
        case type_id::f32: return double{std::bit_cast<float>(u32_at(b))};
        case type_id::f16: return half_at(b);
        case type_id::bf16: return double{std::bit_cast<float>(static_cast<std::uint32_t>(u16_at(b)) << 16)};
        case type_id::f64: return std::bit_cast<double>(integer_at(b, 8));
        case type_id::i8: return i8_at(b);
        case type_id::i16: return static_cast<std::int16_t>(u16_at(b));
        case type_id::i32: return static_cast<std::int32_t>(u32_at(b));

        case type_id::q4_0: return half_at(b) * (strided_nibble(b + 2, 16, i) - 8);
        case type_id::q4_1: return half_at(b) * strided_nibble(b + 4, 16, i) + half_at(b + 2);
        case type_id::q5_0: return half_at(b) * ((strided_nibble(b + 6, 16, i) | bit(b + 2, i) << 4) - 16);
        case type_id::q5_1: return half_at(b) * (strided_nibble(b + 8, 16, i) | bit(b + 4, i) << 4) + half_at(b + 2);
        case type_id::q8_0: return half_at(b) * i8_at(b + 2 + i);

        case type_id::q2_k:
            return half_at(b + 80) * (b[i / 16] & 15) * strided_pair(b + 16, i) - half_at(b + 82) * (b[i / 16] >> 4);
        case type_id::q3_k: {
            const std::size_t s = i / 16;
            const int low = half_byte(b[96 + s % 8], s >= 8);
            const int high = b[104 + s % 4] >> (2 * (s / 4)) & 3;
            const int code = strided_pair(b + 32, i) + 4 * (b[i % 32] >> (i / 32) & 1);
            return half_at(b + 108) * ((low | high << 4) - 32) * (code - 4);
        }
        case type_id::q4_k: {
            const auto [scale, min] = six_bit_pair(b + 4, i / 32);
            return half_at(b) * scale * strided_nibble(b + 16, 32, i) - half_at(b + 2) * min;
        }
        case type_id::q5_k: {
            const auto [scale, min] = six_bit_pair(b + 4, i / 32);
            const int code = strided_nibble(b + 48, 32, i) + 16 * (b[16 + i % 32] >> (i / 32) & 1);
            return half_at(b) * scale * code - half_at(b + 2) * min;
        }
        case type_id::q6_k: {
            const int code = strided_nibble(b, 64, i) | strided_pair(b + 128, i) << 4;
            return half_at(b + 208) * i8_at(b + 192 + i / 16) * (code - 32);
        }

        case type_id::iq4_nl: return half_at(b) * iq4_levels.at(static_cast<std::size_t>(strided_nibble(b + 2, 16, i)));
        case type_id::iq4_xs: {
            const int scale = nibble(b + 4, i / 32) | static_cast<int>(u16_at(b + 2) >> (2 * (i / 32)) & 3) << 4;
            return half_at(b) * (scale - 32) * iq4_levels.at(static_cast<std::size_t>(strided_nibble(b + 8, 16, i)));
        }
        case type_id::mxfp4:
            return std::ldexp(fp4_levels.at(static_cast<std::size_t>(strided_nibble(b + 1, 16, i))), b[0] - 128);
        case type_id::nvfp4:
            return ue4m3(b[i / 16]) * 0.5 * fp4_levels.at(static_cast<std::size_t>(strided_nibble(b + 4, 8, i)));

        case type_id::tq1_0: {
            const bool tail = i >= 240;
            const std::size_t first = tail ? 240 : i >= 160 ? 160 : 0, width = tail ? 4 : i >= 160 ? 16 : 32;
            const std::uint8_t* bytes = b + first / 5;  // five digits a byte until the tail, which has four
            return half_at(b + 52) * (ternary_digit(bytes[(i - first) % width], (i - first) / width) - 1);
        }
        case type_id::tq2_0: return half_at(b + 64) * (strided_pair(b, i) - 1);
        case type_id::q1_0: return half_at(b) * (bit(b + 2, i) ? 1 : -1);
        default: return lattice_weight(type, b, i);
    }
}

/// Weight i of the block at b.
inline float weight(tessera::type_id type, const std::uint8_t* b, std::size_t i) {
    if (type == tessera::type_id::i64)  // wider than a double
        return static_cast<float>(static_cast<std::int64_t>(integer_at(b, 8)));
    return static_cast<float>(exact_weight(type, b, i));
}

}  // namespace scalar_decoder
