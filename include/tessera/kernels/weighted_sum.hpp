// Sums of rows, each times a number of its own.
#pragma once

#include <array>
#include <cstddef>

#include "tessera/kernels/simd.hpp"

namespace tessera::kernels {

/// to[i] += factors[0] rows[0][i] + factors[1] rows[1][i] + ...: `count` aligned rows of Size numbers each, one after
/// another. The sums stay in registers, two for each number, because the next term waits for the last.
template <std::size_t Size, class Arch = default_arch>
inline void add_weighted_sum(const float* factors, const float* rows, std::size_t count, float* to) noexcept {
    using batch = float_batch<Arch>;
    constexpr std::size_t width = Size / lanes<Arch>, chains = width < 8 ? 2 : 1;
    std::array<std::array<batch, width>, chains> sums;
    for (auto& chain : sums) chain.fill(batch(0.0f));
    const auto add = [&](std::size_t row, std::array<batch, width>& chain) {
        const batch factor(factors[row]);
        for (std::size_t k = 0; k < width; ++k)
            chain[k] = xsimd::fma(factor, batch::load_aligned(rows + row * Size + k * lanes<Arch>), chain[k]);
    };
    std::size_t row = 0;
    for (; row + chains <= count; row += chains)
        for (std::size_t c = 0; c < chains; ++c) add(row + c, sums[c]);
    for (; row < count; ++row) add(row, sums[0]);
    for (std::size_t k = 0; k < width; ++k) {
        batch sum = batch::load_aligned(to + k * lanes<Arch>);
        for (const auto& chain : sums) sum += chain[k];
        sum.store_aligned(to + k * lanes<Arch>);
    }
}

}  // namespace tessera::kernels
