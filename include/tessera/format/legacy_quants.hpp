// Q4_0, Q4_1, Q5_0, Q5_1, Q8_0: blocks of 32 with one scale. Source: ggml block_q4_0 to block_q8_0.
#pragma once

#include "tessera/format/scalar_format.hpp"

namespace tessera {

namespace layouts {

struct q4_0 {
    static constexpr std::string_view name = "Q4_0";
    static constexpr type_id type = type_id::q4_0;
    static constexpr std::size_t block_size = 32;
    static constexpr engines runs_on = all_engines;
    static constexpr stock_facts stock{.file_type = 2, .is_mix = true};

    struct block {
        half scale;                          // d
        std::array<std::uint8_t, 16> codes;  // qs
    };

    using planes = tessera::planes<plane<4, 16, &block::codes>>;
    using scaling = scale_per_sub_block<&block::scale>;
    using codebook = linear<-8, 7>;
};

struct q4_1 {
    static constexpr std::string_view name = "Q4_1";
    static constexpr type_id type = type_id::q4_1;
    static constexpr std::size_t block_size = 32;
    static constexpr engines runs_on = all_engines;
    static constexpr stock_facts stock{.file_type = 3, .is_mix = true};

    struct block {
        half scale;                          // d
        half offset;                         // m
        std::array<std::uint8_t, 16> codes;  // qs
    };

    using planes = tessera::planes<plane<4, 16, &block::codes>>;
    using scaling = scale_per_sub_block<&block::scale, &block::offset>;
    using codebook = linear<0, 15>;
};

struct q5_0 {
    static constexpr std::string_view name = "Q5_0";
    static constexpr type_id type = type_id::q5_0;
    static constexpr std::size_t block_size = 32;
    static constexpr engines runs_on = all_engines;
    static constexpr stock_facts stock{.file_type = 8, .is_mix = true};
    static constexpr bool is_fallback = true;

    struct block {
        half scale;                              // d
        std::array<std::uint8_t, 4> fifth_bits;  // qh
        std::array<std::uint8_t, 16> codes;      // qs
    };

    using planes = tessera::planes<plane<4, 16, &block::codes>, plane<1, 1, &block::fifth_bits>>;
    using scaling = scale_per_sub_block<&block::scale>;
    using codebook = linear<-16, 15>;
};

struct q5_1 {
    static constexpr std::string_view name = "Q5_1";
    static constexpr type_id type = type_id::q5_1;
    static constexpr std::size_t block_size = 32;
    static constexpr engines runs_on = all_engines;
    static constexpr stock_facts stock{.file_type = 9, .is_mix = true};
    static constexpr bool is_fallback = true;

    struct block {
        half scale;                              // d
        half offset;                             // m
        std::array<std::uint8_t, 4> fifth_bits;  // qh
        std::array<std::uint8_t, 16> codes;      // qs
    };

    using planes = tessera::planes<plane<4, 16, &block::codes>, plane<1, 1, &block::fifth_bits>>;
    using scaling = scale_per_sub_block<&block::scale, &block::offset>;
    using codebook = linear<0, 31>;
};

struct q8_0 {
    static constexpr std::string_view name = "Q8_0";
    static constexpr type_id type = type_id::q8_0;
    static constexpr std::size_t block_size = 32;
    static constexpr engines runs_on = all_engines;
    static constexpr stock_facts stock{.file_type = 7, .is_mix = true};
    static constexpr bool is_fallback = true;

    struct block {
        half scale;                          // d
        std::array<std::uint8_t, 32> codes;  // qs, two's complement
    };

    using planes = tessera::planes<plane<8, 32, &block::codes>>;
    using scaling = scale_per_sub_block<&block::scale>;
    using codebook = signed_byte<-127, 127>;  // -128 decodes, but readers' integer kernels want symmetry
};

}  // namespace layouts

using q4_0 = scalar_format<layouts::q4_0>;
using q4_1 = scalar_format<layouts::q4_1>;
using q5_0 = scalar_format<layouts::q5_0>;
using q5_1 = scalar_format<layouts::q5_1>;
using q8_0 = scalar_format<layouts::q8_0>;

}  // namespace tessera
