// Q8_0: 32 signed bytes and one scale. Source: ggml block_q8_0.
#pragma once

#include "tessera/format/scalar_format.hpp"

namespace tessera {

namespace layouts {
struct q8_0 {
    static constexpr std::string_view name = "Q8_0";
    static constexpr type_id type = type_id::q8_0;
    static constexpr std::size_t block_size = 32;

    struct block {
        half scale;                          // d
        std::array<std::uint8_t, 32> codes;  // qs, two's complement
    };

    using planes = tessera::planes<plane<8, 32, &block::codes>>;
    using scaling = half_scale<&block::scale>;
    using codebook = signed_byte<-127, 127>;  // -128 decodes, but readers' integer kernels want symmetry
};
}  // namespace layouts

using q8_0 = scalar_format<layouts::q8_0>;
static_assert(two_stage_format<q8_0> && gguf_format<q8_0>);

}  // namespace tessera
