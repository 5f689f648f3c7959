// Q6_K: 256 6-bit codes in 16 sub-blocks with 8-bit scales. Source: ggml block_q6_K.
#pragma once

#include "tessera/format/scalar_format.hpp"

namespace tessera {

namespace layouts {
struct q6_k {
    static constexpr std::string_view name = "Q6_K";
    static constexpr type_id type = type_id::q6_k;
    static constexpr std::size_t block_size = 256;

    struct block {
        std::array<std::uint8_t, 128> low_codes;  // ql
        std::array<std::uint8_t, 64> high_codes;  // qh
        std::array<std::int8_t, 16> sub_scales;   // scales
        half super_scale;                         // d
    };

    using planes = tessera::planes<plane<4, 64, &block::low_codes>, plane<2, 32, &block::high_codes>>;
    using scaling = half_and_byte_scales<&block::super_scale, &block::sub_scales>;
    using codebook = linear<-32, 31>;
};
}  // namespace layouts

using q6_k = scalar_format<layouts::q6_k>;
static_assert(two_stage_format<q6_k> && gguf_format<q6_k>);

}  // namespace tessera
