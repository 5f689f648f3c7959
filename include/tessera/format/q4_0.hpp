// Q4_0: 32 4-bit codes and one scale. Source: ggml block_q4_0.
#pragma once

#include "tessera/format/scalar_format.hpp"

namespace tessera {

namespace layouts {
struct q4_0 {
    static constexpr std::string_view name = "Q4_0";
    static constexpr type_id type = type_id::q4_0;
    static constexpr std::size_t block_size = 32;

    struct block {
        half scale;                          // d
        std::array<std::uint8_t, 16> codes;  // qs
    };

    using planes = tessera::planes<plane<4, 16, &block::codes>>;
    using scaling = half_scale<&block::scale>;
    using codebook = linear<-8, 7>;
};
}  // namespace layouts

using q4_0 = scalar_format<layouts::q4_0>;
static_assert(two_stage_format<q4_0> && gguf_format<q4_0>);

}  // namespace tessera
