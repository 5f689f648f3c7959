// MXFP4, NVFP4: 4-bit floats with one-byte scales. Sources: OCP Microscaling Formats (MX) specification 1.0; ggml
// block_mxfp4, block_nvfp4.
#pragma once

#include "tessera/format/scalar_format.hpp"

namespace tessera {

/// The values of E2M1 (sign, two bits of exponent, one of mantissa) times two, so that they are integers; the scales'
/// exponents carry the half.
struct fp4_levels {
    static constexpr std::array<std::int8_t, 16> levels{0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};
};

namespace layouts {

struct mxfp4 {
    static constexpr std::string_view name = "MXFP4";
    static constexpr type_id type = type_id::mxfp4;
    static constexpr std::size_t block_size = 32;
    static constexpr engines runs_on{.cpu = {6096, "August 2025"},
                                     .cuda = {6096, "August 2025"},
                                     .metal = {6096, "August 2025"},
                                     .vulkan = {6096, "August 2025"},
                                     .sycl = {7406, "December 2025"}};
    static constexpr stock_facts stock{.file_type = 38};

    struct block {
        power_of_two<128> scale;             // e
        std::array<std::uint8_t, 16> codes;  // qs
    };

    using planes = tessera::planes<plane<4, 16, &block::codes>>;
    using scaling = scale_per_sub_block<&block::scale>;
    using codebook = level_table<fp4_levels>;
};

struct nvfp4 {
    static constexpr std::string_view name = "NVFP4";
    static constexpr type_id type = type_id::nvfp4;
    static constexpr std::size_t block_size = 64;
    static constexpr engines runs_on{.cpu = {8297, "March 2026"},
                                     .cuda = {8534, "March 2026"},
                                     .vulkan = {8785, "April 2026"},
                                     .sycl = {8615, "April 2026"}};
    static constexpr stock_facts stock{.file_type = 39};

    struct block {
        std::array<unsigned_e4m3<8>, 4> scales;  // d
        std::array<std::uint8_t, 32> codes;      // qs
    };

    using planes = tessera::planes<plane<4, 8, &block::codes>>;
    using scaling = scale_per_sub_block<&block::scales>;
    using codebook = level_table<fp4_levels>;
};

}  // namespace layouts

using mxfp4 = scalar_format<layouts::mxfp4>;
using nvfp4 = scalar_format<layouts::nvfp4>;

}  // namespace tessera
