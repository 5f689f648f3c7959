// Formats that GGUF does not have, from stock parts, on a real tensor:  combined_format MODEL TENSOR
#include <array>
#include <cstdio>
#include <exception>

#include "measure_formats.hpp"
#include "tessera/core/printable.hpp"
#include "tessera/format.hpp"

// NF4: 4 bits for 16 quantiles of the normal distribution, 64 weights to a scale. Source of the levels: QLoRA,
// arXiv 2305.14314, appendix E.
struct nf4_levels {
    static constexpr std::array<float, 16> levels{
        -1.0f,      -0.6961928f, -0.5250731f, -0.3949175f, -0.2844414f, -0.1847734f, -0.0910500f, 0.0f,
        0.0795803f, 0.1609302f,  0.2461123f,  0.3379152f,  0.4407098f,  0.5626170f,  0.7229568f,  1.0f};
};
struct nf4_layout : tessera::combination<4, 64, tessera::scale<tessera::bfloat16>, tessera::level_table<nf4_levels>> {
    static constexpr std::string_view name = "nf4_64";
};
using nf4_64 = tessera::scalar_format<nf4_layout>;
static_assert(tessera::two_stage_format<nf4_64>);

// 3 bits with scale and minimum in two levels, for 16 parts of 16 weights.
struct q3_layout
    : tessera::combination<3, 256, tessera::scale_and_min_in_two_levels<tessera::half, 16>, tessera::non_negative<3>> {
    static constexpr std::string_view name = "q3_16";
};
using q3_16 = tessera::scalar_format<q3_layout>;
static_assert(tessera::two_stage_format<q3_16>);

int main(int argc, char** argv) try {
    if (argc != 3) {
        std::fprintf(stderr, "usage: combined_format MODEL TENSOR\n");
        return 2;
    }
    const named_matrix weights(argv[1], argv[2]);
    print_errors<tessera::q4_0, nf4_64, tessera::iq4_xs, q3_16, tessera::q3_k>(weights.view());
} catch (const std::exception& e) {
    std::fprintf(stderr, "combined_format: %s\n", tessera::printable(e.what()).c_str());
    return 1;
}
