// IQ4_NL, IQ4_XS: 4-bit codes for unevenly spaced levels. Source: ggml block_iq4_nl, block_iq4_xs.
#pragma once

#include "tessera/format/scalar_format.hpp"

namespace tessera {

/// Sixteen levels, denser near zero, as weights are.
struct iq4_levels {
    static constexpr std::array<std::int8_t, 16> levels{-127, -104, -83, -65, -49, -35, -22, -10,
                                                        1,    13,   25,  38,  53,  69,  89,  113};
};

/// Eight sub-scales of -32 to 31, stored plus 32: the low nibbles in four bytes, the upper two bits in a 16-bit word.
template <auto Scale, auto Low, auto High>
struct split_6bit : two_level_scales<half, 8, -32, 31> {
    template <class Block>
    [[nodiscard]] static scales load(const Block& in) noexcept {
        scales s{in.*Scale, half(0.0f), {}, {}};
        for (unsigned g = 0; g < 8; ++g) {
            const int low = (in.*Low)[g / 2] >> (4 * (g % 2)) & 15;
            const int high = (in.*High) >> (2 * g) & 3;
            s.sub_scale[g] = static_cast<std::int8_t>((low | high << 4) - 32);
        }
        return s;
    }
    template <class Block>
    static void store(const scales& s, Block& out) noexcept {
        out.*Scale = s.super_scale;
        out.*Low = {};
        unsigned high = 0;
        for (unsigned g = 0; g < 8; ++g) {
            const auto code = static_cast<unsigned>(s.sub_scale[g] + 32);
            (out.*Low)[g / 2] = static_cast<std::uint8_t>((out.*Low)[g / 2] | (code & 15) << (4 * (g % 2)));
            high |= code >> 4 << (2 * g);
        }
        out.*High = static_cast<std::uint16_t>(high);
    }
};

namespace layouts {

struct iq4_nl {
    static constexpr std::string_view name = "IQ4_NL";
    static constexpr type_id type = type_id::iq4_nl;
    static constexpr std::size_t block_size = 32;
    static constexpr engines runs_on{.cpu = {2221, "February 2024"},
                                     .cuda = {2221, "February 2024"},
                                     .metal = {2221, "February 2024"},
                                     .vulkan = {3445, "July 2024"},
                                     .sycl = {2620, "April 2024"}};
    static constexpr stock_facts stock{.file_type = 25, .is_mix = true};
    static constexpr bool is_fallback = true;

    struct block {
        half scale;                          // d
        std::array<std::uint8_t, 16> codes;  // qs
    };

    using planes = tessera::planes<plane<4, 16, &block::codes>>;
    using scaling = scale_per_sub_block<&block::scale>;
    using codebook = level_table<iq4_levels>;
};

struct iq4_xs {
    static constexpr std::string_view name = "IQ4_XS";
    static constexpr type_id type = type_id::iq4_xs;
    static constexpr std::size_t block_size = 256;
    static constexpr engines runs_on{.cpu = {2281, "February 2024"},
                                     .cuda = {2281, "February 2024"},
                                     .metal = {2281, "February 2024"},
                                     .vulkan = {4648, "February 2025"},
                                     .sycl = {2620, "April 2024"}};
    static constexpr stock_facts stock{.file_type = 30, .is_mix = true, .substitute = type_id::iq4_nl};

    struct block {
        half super_scale;                            // d
        std::uint16_t sub_scales_high;               // scales_h
        std::array<std::uint8_t, 4> sub_scales_low;  // scales_l
        std::array<std::uint8_t, 128> codes;         // qs
    };

    using planes = tessera::planes<plane<4, 16, &block::codes>>;
    using scaling = split_6bit<&block::super_scale, &block::sub_scales_low, &block::sub_scales_high>;
    using codebook = level_table<iq4_levels>;
};

}  // namespace layouts

using iq4_nl = scalar_format<layouts::iq4_nl>;
using iq4_xs = scalar_format<layouts::iq4_xs>;

}  // namespace tessera
