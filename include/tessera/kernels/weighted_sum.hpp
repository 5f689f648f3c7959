// Sums of rows, each times a number of its own.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>

#include "tessera/kernels/simd.hpp"

namespace tessera::kernels {

namespace detail {

// Rows go to two sums in turn, because a term waits for the one before it in its sum.
template <std::size_t Size, class Arch, std::size_t... Part>
[[gnu::flatten]] inline void add_weighted_sum(const float* factors, const float* rows, std::size_t count, float* to,
                                              std::index_sequence<Part...>) noexcept {
    using batch = float_batch<Arch>;
    std::array<batch, sizeof...(Part)> even{((void)Part, batch(0.0f))...}, odd = even;
    const auto add = [&](std::size_t row, std::array<batch, sizeof...(Part)>& sums) {
        const batch factor(factors[row]);
        ((sums[Part] = xsimd::fma(factor, batch::load_aligned(rows + row * Size + Part * lanes<Arch>), sums[Part])),
         ...);
    };
    for (std::size_t row = 0; row + 1 < count; row += 2) {
        add(row, even);
        add(row + 1, odd);
    }
    if (count % 2 == 1) add(count - 1, even);
    const auto finish = [](float* out, batch sum) { (batch::load_aligned(out) + sum).store_aligned(out); };
    (finish(to + Part * lanes<Arch>, even[Part] + odd[Part]), ...);
}

}  // namespace detail

/// to[i] += factors[0] rows[0][i] + factors[1] rows[1][i] + ...: `count` aligned rows of Size numbers, one after
/// another.
template <std::size_t Size, class Arch = default_arch>
inline void add_weighted_sum(const float* factors, const float* rows, std::size_t count, float* to) noexcept {
    constexpr std::size_t parts = std::min<std::size_t>(Size / lanes<Arch>, registers<Arch> / 4);
    for (std::size_t first = 0; first < Size; first += parts * lanes<Arch>)
        detail::add_weighted_sum<Size, Arch>(factors, rows + first, count, to + first,
                                             std::make_index_sequence<parts>{});
}

}  // namespace tessera::kernels
