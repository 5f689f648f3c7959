// Q4_K: 256 4-bit codes in 8 sub-blocks with 6-bit scales and minimums. Source: ggml block_q4_K.
#pragma once

#include "tessera/format/scalar_format.hpp"

namespace tessera {

namespace layouts {
struct q4_k {
    static constexpr std::string_view name = "Q4_K";
    static constexpr type_id type = type_id::q4_k;
    static constexpr std::size_t block_size = 256;

    struct block {
        half super_scale;                         // d
        half super_min;                           // dmin
        std::array<std::uint8_t, 12> sub_scales;  // scales
        std::array<std::uint8_t, 128> codes;      // qs
    };

    using planes = tessera::planes<plane<4, 32, &block::codes>>;
    using scaling = half_and_6bit_pairs<&block::super_scale, &block::super_min, &block::sub_scales>;
    using codebook = linear<0, 15>;
};
}  // namespace layouts

using q4_k = scalar_format<layouts::q4_k>;
static_assert(two_stage_format<q4_k> && gguf_format<q4_k>);

}  // namespace tessera
