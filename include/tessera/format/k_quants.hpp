// Q2_K to Q6_K: blocks of 256 with scales in two levels. Source: ggml block_q2_K to block_q6_K.
#pragma once

#include "tessera/format/scalar_format.hpp"

namespace tessera {

/// Sixteen 4-bit sub-scales and 4-bit sub-minimums, a byte for each pair: the sub-scale in the low half.
template <auto Scale, auto Min, auto Packed>
struct nibble_pairs : two_level_scales<half, 16, 0, 15, 15> {
    template <class Block>
    [[nodiscard]] static scales load(const Block& in) noexcept {
        scales s{in.*Scale, in.*Min, {}, {}};
        for (std::size_t g = 0; g < 16; ++g) {
            s.sub_scale[g] = static_cast<std::int8_t>((in.*Packed)[g] & 15);
            s.sub_min[g] = static_cast<std::uint8_t>((in.*Packed)[g] >> 4);
        }
        return s;
    }
    template <class Block>
    static void store(const scales& s, Block& out) noexcept {
        out.*Scale = s.super_scale;
        out.*Min = s.super_min;
        for (std::size_t g = 0; g < 16; ++g)
            (out.*Packed)[g] = static_cast<std::uint8_t>(s.sub_scale[g] | s.sub_min[g] << 4);
    }
};

/// Sixteen sub-scales of -32 to 31, stored plus 32 in 12 bytes: the low nibbles of the first eight in the low halves of
/// bytes 0-7, of the last eight in the high halves; the upper two bits of sub-scale g in byte 8 + g % 4.
template <auto Scale, auto Packed>
struct signed_6bit : two_level_scales<half, 16, -32, 31> {
    template <class Block>
    [[nodiscard]] static scales load(const Block& in) noexcept {
        scales s{in.*Scale, half(0.0f), {}, {}};
        std::array<std::uint32_t, 3> word;  // four bytes at a time
        std::memcpy(word.data(), (in.*Packed).data(), sizeof word);
        constexpr std::uint32_t four = 0x0f0f'0f0f, upper_two = 0x3030'3030;
        const std::array<std::uint32_t, 4> plus_32{
            (word[0] & four) | (word[2] << 4 & upper_two), (word[1] & four) | (word[2] << 2 & upper_two),
            (word[0] >> 4 & four) | (word[2] & upper_two), (word[1] >> 4 & four) | (word[2] >> 2 & upper_two)};
        std::memcpy(s.sub_scale.data(), plus_32.data(), sizeof plus_32);
        for (std::int8_t& scale : s.sub_scale) scale = static_cast<std::int8_t>(scale - 32);
        return s;
    }
    template <class Block>
    static void store(const scales& s, Block& out) noexcept {
        out.*Scale = s.super_scale;
        std::array<unsigned, 12> bytes{};
        for (std::size_t g = 0; g < 16; ++g) {
            const auto code = static_cast<unsigned>(s.sub_scale[g] + 32);
            bytes[g % 8] |= (code & 15) << (g < 8 ? 0 : 4);
            bytes[8 + g % 4] |= code >> 4 << (2 * (g / 4));
        }
        for (std::size_t i = 0; i < 12; ++i) (out.*Packed)[i] = static_cast<std::uint8_t>(bytes[i]);
    }
};

/// Eight 6-bit sub-scales and eight 6-bit sub-minimums in 12 bytes: the first four of each in the low 6 bits of bytes
/// 0-3 and 4-7; of the last four, the low nibbles in bytes 8-11 (scale low, minimum high) and the upper two bits in the
/// top of bytes 0-3 and 4-7.
template <auto Scale, auto Min, auto Packed>
struct pairs_of_6bit : two_level_scales<half, 8, 0, 63, 63> {
    template <class Block>
    [[nodiscard]] static scales load(const Block& in) noexcept {
        scales s{in.*Scale, in.*Min, {}, {}};
        std::array<std::uint32_t, 3> word;  // four bytes at a time
        std::memcpy(word.data(), (in.*Packed).data(), sizeof word);
        constexpr std::uint32_t six = 0x3f3f'3f3f, four = 0x0f0f'0f0f, upper_two = 0x3030'3030;
        const std::array<std::uint32_t, 2> scale{word[0] & six, (word[2] & four) | (word[0] >> 2 & upper_two)};
        const std::array<std::uint32_t, 2> min{word[1] & six, (word[2] >> 4 & four) | (word[1] >> 2 & upper_two)};
        std::memcpy(s.sub_scale.data(), scale.data(), sizeof scale);
        std::memcpy(s.sub_min.data(), min.data(), sizeof min);
        return s;
    }
    template <class Block>
    static void store(const scales& s, Block& out) noexcept {
        out.*Scale = s.super_scale;
        out.*Min = s.super_min;
        auto& bytes = out.*Packed;
        for (std::size_t j = 0; j < 4; ++j) {
            const auto high_scale = static_cast<unsigned>(s.sub_scale[j + 4]);
            const unsigned high_min = s.sub_min[j + 4];
            bytes[j] = static_cast<std::uint8_t>(static_cast<unsigned>(s.sub_scale[j]) | ((high_scale >> 4) << 6));
            bytes[j + 4] = static_cast<std::uint8_t>(s.sub_min[j] | ((high_min >> 4) << 6));
            bytes[j + 8] = static_cast<std::uint8_t>((high_scale & 15) | ((high_min & 15) << 4));
        }
    }
};

namespace layouts {

struct q2_k {
    static constexpr std::string_view name = "Q2_K";
    static constexpr type_id type = type_id::q2_k;
    static constexpr std::size_t block_size = 256;
    static constexpr engines runs_on = all_engines;
    static constexpr stock_facts stock{.file_type = 10, .is_mix = true, .substitute = type_id::q4_0};

    struct block {
        std::array<std::uint8_t, 16> sub_scales;  // scales
        std::array<std::uint8_t, 64> codes;       // qs
        half super_scale;                         // d
        half super_min;                           // dmin
    };

    using planes = tessera::planes<plane<2, 32, &block::codes>>;
    using scaling = nibble_pairs<&block::super_scale, &block::super_min, &block::sub_scales>;
    using codebook = linear<0, 3>;
};

struct q3_k {
    static constexpr std::string_view name = "Q3_K";
    static constexpr type_id type = type_id::q3_k;
    static constexpr std::size_t block_size = 256;
    static constexpr engines runs_on = all_engines;
    static constexpr stock_facts stock{.file_type = 11, .substitute = type_id::q4_0};

    struct block {
        std::array<std::uint8_t, 32> third_bits;  // hmask
        std::array<std::uint8_t, 64> codes;       // qs
        std::array<std::uint8_t, 12> sub_scales;  // scales
        half super_scale;                         // d
    };

    using planes = tessera::planes<plane<2, 32, &block::codes>, plane<1, 32, &block::third_bits>>;
    using scaling = signed_6bit<&block::super_scale, &block::sub_scales>;
    using codebook = linear<-4, 3>;
};

struct q4_k {
    static constexpr std::string_view name = "Q4_K";
    static constexpr type_id type = type_id::q4_k;
    static constexpr std::size_t block_size = 256;
    static constexpr engines runs_on = all_engines;
    static constexpr stock_facts stock{.file_type = 14, .substitute = type_id::q5_0};

    struct block {
        half super_scale;                         // d
        half super_min;                           // dmin
        std::array<std::uint8_t, 12> sub_scales;  // scales
        std::array<std::uint8_t, 128> codes;      // qs
    };

    using planes = tessera::planes<plane<4, 32, &block::codes>>;
    using scaling = pairs_of_6bit<&block::super_scale, &block::super_min, &block::sub_scales>;
    using codebook = linear<0, 15>;
};

struct q5_k {
    static constexpr std::string_view name = "Q5_K";
    static constexpr type_id type = type_id::q5_k;
    static constexpr std::size_t block_size = 256;
    static constexpr engines runs_on = all_engines;
    static constexpr stock_facts stock{.file_type = 16, .substitute = type_id::q5_1};

    struct block {
        half super_scale;                         // d
        half super_min;                           // dmin
        std::array<std::uint8_t, 12> sub_scales;  // scales
        std::array<std::uint8_t, 32> fifth_bits;  // qh
        std::array<std::uint8_t, 128> codes;      // qs
    };

    using planes = tessera::planes<plane<4, 32, &block::codes>, plane<1, 32, &block::fifth_bits>>;
    using scaling = pairs_of_6bit<&block::super_scale, &block::super_min, &block::sub_scales>;
    using codebook = linear<0, 31>;
};

struct q6_k {
    static constexpr std::string_view name = "Q6_K";
    static constexpr type_id type = type_id::q6_k;
    static constexpr std::size_t block_size = 256;
    static constexpr engines runs_on = all_engines;
    static constexpr stock_facts stock{.file_type = 18, .is_mix = true, .substitute = type_id::q8_0};

    struct block {
        std::array<std::uint8_t, 128> codes;     // ql
        std::array<std::uint8_t, 64> high_bits;  // qh
        std::array<std::int8_t, 16> sub_scales;  // scales
        half super_scale;                        // d
    };

    using planes = tessera::planes<plane<4, 64, &block::codes>, plane<2, 32, &block::high_bits>>;
    using scaling = byte_sub_scales<&block::super_scale, &block::sub_scales>;
    using codebook = linear<-32, 31>;
};

}  // namespace layouts

using q2_k = scalar_format<layouts::q2_k>;
using q3_k = scalar_format<layouts::q3_k>;
using q4_k = scalar_format<layouts::q4_k>;
using q5_k = scalar_format<layouts::q5_k>;
using q6_k = scalar_format<layouts::q6_k>;

}  // namespace tessera
