// The inner loop of every scale search: round the weights of sub-blocks with given scales and sum what least squares
// needs.
#pragma once

#include <cstddef>

#include "tessera/kernels/rounding.hpp"
#include "tessera/kernels/simd.hpp"

namespace tessera::kernels {

/// Weighted sums over a sub-block, one sub-block per lane. With levels q chosen for scale s and minimum m, and
/// residuals r = x - (s q - m): sums of w r r, w r q, w r, w q q, w q. Residuals instead of x keep the sums free of
/// cancellation, so that errors of 8-bit formats compare exactly enough, too.
template <class Batch>
struct residual_moments {
    Batch rr = Batch(0.0f), rq = Batch(0.0f), r = Batch(0.0f), qq = Batch(0.0f), q = Batch(0.0f);
};

/// Rounds `n` weights in each lane (x[i * lanes + lane]) to levels of `Codebook` and returns the moments.
/// `inverse` is 1 / scale or 0. With HasMin false, `min` and the sums r and q are not touched.
template <class Codebook, bool HasMin, class Arch>
[[nodiscard]] inline residual_moments<float_batch<Arch>> sum_residuals(const float* x, const float* w, std::size_t n,
                                                                       float_batch<Arch> scale,
                                                                       float_batch<Arch> inverse,
                                                                       float_batch<Arch> min) noexcept {
    using batch = float_batch<Arch>;
    residual_moments<batch> sums;
    for (std::size_t i = 0; i < n; ++i) {
        const batch value = batch::load_aligned(x + i * lanes<Arch>);
        const batch weight = batch::load_aligned(w + i * lanes<Arch>);
        const batch shifted = HasMin ? value + min : value;
        const batch level = Codebook::nearest(shifted * inverse);
        const batch residual = shifted - scale * level;
        const batch weighted_residual = weight * residual;
        const batch weighted_level = weight * level;
        sums.rr = xsimd::fma(weighted_residual, residual, sums.rr);
        sums.rq = xsimd::fma(weighted_residual, level, sums.rq);
        sums.qq = xsimd::fma(weighted_level, level, sums.qq);
        if constexpr (HasMin) {
            sums.r += weighted_residual;
            sums.q += weighted_level;
        }
    }
    return sums;
}

}  // namespace tessera::kernels
