// Formats mean the same bytes, and the plain reference chooses the same, whatever the registers.
#include <array>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <limits>
#include <random>
#include <span>
#include <vector>

#include <doctest/doctest.h>

#include "format/codec.hpp"
#include "kernels/for_each_arch.hpp"
#include "support/random.hpp"
#include "tessera/format.hpp"

using namespace tessera;

namespace {

template <class F>
std::vector<typename F::block> random_blocks(std::size_t count) {
    std::mt19937 random(7);
    std::vector<std::byte> bytes(count * sizeof(typename F::block));
    for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
    std::vector<typename F::block> blocks(count);
    std::memcpy(blocks.data(), bytes.data(), bytes.size());
    return blocks;
}

template <class T>
bool same_bytes(const T& a, const T& b) {
    return std::memcmp(&a, &b, sizeof a) == 0;
}

}  // namespace

TEST_CASE("decode gives the same floats on every architecture") {
    builtin_formats::for_each([]<class F>(format_tag<F>) {
        if constexpr (two_stage_format<F>) {
            CAPTURE(F::name);
            const auto blocks = random_blocks<F>(64);
            support::for_each_width([&]<class Arch>(Arch) {
                std::size_t wrong = 0;
                for (const typename F::block& block : blocks) {
                    std::array<float, F::block_size> usual, other;
                    F::decode(block, usual);
                    F::template decode<Arch>(block, other);
                    for (std::size_t i = 0; i < F::block_size; ++i)
                        wrong +=
                            same_bytes(usual[i], other[i]) || (std::isnan(usual[i]) && std::isnan(other[i])) ? 0 : 1;
                }
                CHECK(wrong == 0);
            });
        }
    });
}

TEST_CASE("the reference encoder gives the same bytes on every architecture") {
    builtin_formats::for_each([]<class F>(format_tag<F>) {
        if constexpr (requires { typename F::scaling; }) {
            CAPTURE(F::name);
            auto x = support::gaussian(F::block_size * 64, 3);
            for (std::size_t i = 0; i < F::block_size; ++i) {  // among them hard ones
                x[i] = 0.0f;
                x[F::block_size + i] *= 1e35f;
                if (i % 3 == 0) x[2 * F::block_size + i] = std::numeric_limits<float>::infinity();
            }
            support::for_each_width([&]<class Arch>(Arch) {
                std::size_t wrong = 0;
                for (std::size_t b = 0; b < 64; ++b) {
                    const std::span<const float, F::block_size> weights(x.data() + b * F::block_size, F::block_size);
                    typename F::block usual, other;
                    F::encode(weights, usual);
                    F::template store<Arch>(F::template nearest_scales<Arch>(weights), weights, other);
                    wrong += same_bytes(usual, other) ? 0 : 1;
                }
                CHECK(wrong == 0);
            });
        }
    });
}
