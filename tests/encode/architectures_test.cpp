// The searches find the same on every architecture, but for the last bits of sums, which registers with fused
// multiplication and addition round otherwise.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <random>
#include <span>
#include <vector>

#include <doctest/doctest.h>

#include "kernels/for_each_arch.hpp"
#include "support/random.hpp"
#include "tessera/encode/lattice_search.hpp"
#include "tessera/encode/scale_search.hpp"
#include "tessera/format/fp4.hpp"
#include "tessera/format/iq2.hpp"
#include "tessera/format/iq4.hpp"
#include "tessera/format/k_quants.hpp"
#include "tessera/format/legacy_quants.hpp"
#include "tessera/format/registry.hpp"

using namespace tessera;

namespace {

// One of each kind of scales, levels and codewords.
using kinds = format_list<q4_1, q2_k, q6_k, iq4_nl, nvfp4, iq2_xs>;

constexpr std::size_t arch_blocks = 48;

/// What a search on `Arch` makes of some blocks.
template <class F, class Arch>
std::vector<typename F::block> searched(const std::vector<float>& x, const std::vector<float>& importance) {
    std::vector<typename F::block> packed(arch_blocks);
    if constexpr (scaled_format<F>) {
        using search = scale_search<F, Arch>;
        search find;
        std::array<typename F::scales, search::blocks> scales;
        for (std::size_t b = 0; b < arch_blocks; b += search::blocks) {
            const std::size_t some = std::min(search::blocks, arch_blocks - b);
            const auto piece = [&](const std::vector<float>& all) {
                return std::span(all).subspan(b * F::block_size, some * F::block_size);
            };
            find(piece(x), piece(importance), scales);
            for (std::size_t k = 0; k < some; ++k)
                F::template store<Arch>(
                    scales[k], std::span<const float, F::block_size>(x.data() + (b + k) * F::block_size, F::block_size),
                    packed[b + k]);
        }
    } else {
        lattice_search<F, Arch> search;
        for (std::size_t b = 0; b < arch_blocks; ++b)
            search(std::span<const float, F::block_size>(x.data() + b * F::block_size, F::block_size),
                   std::span(importance).subspan(b * F::block_size, F::block_size), packed[b]);
    }
    return packed;
}

template <class F>
double error_of_blocks(const std::vector<typename F::block>& packed, const std::vector<float>& x,
                       const std::vector<float>& importance) {
    std::vector<float> decoded(x.size());
    decode_blocks<F>(packed, decoded);
    double sum = 0;
    for (std::size_t i = 0; i < x.size(); ++i)
        sum += double{importance[i]} * (double{x[i]} - double{decoded[i]}) * (double{x[i]} - double{decoded[i]});
    return sum;
}

}  // namespace

TEST_CASE("searches find the same scales and codes on every architecture") {
    kinds::for_each([]<class F>(format_tag<F>) {
        CAPTURE(F::name);
        const auto x = support::gaussian(F::block_size * arch_blocks, 1);
        std::vector<float> importance(x.size());
        std::mt19937 random(2);
        std::lognormal_distribution<float> spread(0.0f, 1.0f);
        for (float& w : importance) w = spread(random);
        const auto usual = searched<F, kernels::default_arch>(x, importance);
        support::for_each_width([&]<class Arch>(Arch) {
            const auto other = searched<F, Arch>(x, importance);
            std::size_t different = 0;
            for (std::size_t b = 0; b < arch_blocks; ++b)
                different += std::memcmp(&usual[b], &other[b], sizeof usual[b]) == 0 ? 0 : 1;
            CHECK(different <= arch_blocks / 8);  // of near-equal candidates another one
            CHECK(error_of_blocks<F>(other, x, importance) ==
                  doctest::Approx(error_of_blocks<F>(usual, x, importance)).epsilon(1e-3));
        });
    });
}
