// Sums down the columns of a few rows.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>

#include "tessera/kernels/simd.hpp"

namespace tessera::kernels {

/// Where sums of x^2 and x and the largest |x| are kept, one of each per column. Sums of floats: move them to doubles
/// after some tens of rows.
struct column_sums {
    std::span<float> squares, sums, peaks;
};

namespace detail {

template <std::size_t Rows, class Arch>
inline void add_rows(const float* rows, std::size_t stride, column_sums to) noexcept {
    using batch = float_batch<Arch>;
    const std::size_t columns = to.squares.size();
    std::size_t c = 0;
    for (; c + lanes<Arch> <= columns; c += lanes<Arch>) {
        batch squares = batch::load_unaligned(&to.squares[c]);
        batch sums = batch::load_unaligned(&to.sums[c]);
        batch peaks = batch::load_unaligned(&to.peaks[c]);
        for (std::size_t r = 0; r < Rows; ++r) {
            const batch x = batch::load_unaligned(rows + r * stride + c);
            squares = xsimd::fma(x, x, squares);
            sums += x;
            peaks = xsimd::max(peaks, xsimd::abs(x));
        }
        squares.store_unaligned(&to.squares[c]);
        sums.store_unaligned(&to.sums[c]);
        peaks.store_unaligned(&to.peaks[c]);
    }
    for (; c < columns; ++c)
        for (std::size_t r = 0; r < Rows; ++r) {
            const float x = rows[r * stride + c];
            to.squares[c] += x * x;
            to.sums[c] += x;
            to.peaks[c] = std::max(to.peaks[c], std::abs(x));
        }
}

}  // namespace detail

/// Adds `count` rows, `stride` floats apart, whose length is that of the sums. Where an x is not finite, its column's
/// sum of squares is not finite afterwards.
template <class Arch = default_arch>
inline void add_to_columns(const float* rows, std::size_t stride, std::size_t count, column_sums to) noexcept {
    constexpr std::size_t at_once = 4;  // sums are loaded and stored once for so many rows
    std::size_t r = 0;
    for (; r + at_once <= count; r += at_once) detail::add_rows<at_once, Arch>(rows + r * stride, stride, to);
    for (; r < count; ++r) detail::add_rows<1, Arch>(rows + r * stride, stride, to);
}

}  // namespace tessera::kernels
