// Compensating, in a matrix, the error of its inputs.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include <Eigen/Cholesky>
#include <Eigen/Core>

#include "tessera/calibrate/column_statistics.hpp"
#include "tessera/core/parallel.hpp"
#include "tessera/decoder/matrix.hpp"
#include "tessera/encode/gram_factor.hpp"

namespace tessera {

/// M that brings (W + W M) z nearest to W x, for inputs z of quantized layers and original inputs x: the ridge
/// regression of x on z, less the identity,
///     M = (x'z - z'z) (z'z + damping)^-1.
/// Rows of x and z are the same tokens. M is fitted to the first `used` of them, and `gram` is their z'z; the others
/// are held out. The damping is gram_factor's. The result is empty where the moments are not positive definite, or
/// where z + z M' is not nearer to x than z is on the rows held out.
template <class = void>
[[nodiscard]] decoder::matrix compensation(const activation_rows& x, const activation_rows& z, Eigen::Index used,
                                           const decoder::matrix& gram, double damping, int threads) {
    constexpr Eigen::Index tile = 64;
    const Eigen::Index columns = z.cols(), rest = z.rows() - used;
    const double mean = static_cast<double>(gram.diagonal().mean());
    if (!(mean > 0)) return {};
    decoder::matrix damped = gram;
    damped.diagonal().array() += static_cast<float>(
        damping_of(damping, static_cast<std::size_t>(columns), static_cast<std::uint64_t>(used)) * mean);
    decoder::matrix transposed = cross_moments(z.topRows(used), x.topRows(used), threads) - gram;  // z'x - z'z
    const decoder::serial_products guard;
    const Eigen::LLT<Eigen::Ref<decoder::matrix>> factor(damped);
    if (factor.info() != Eigen::Success) return {};
    parallel_for(static_cast<std::size_t>((columns + tile - 1) / tile), threads, [&](std::size_t i) {
        const Eigen::Index first = static_cast<Eigen::Index>(i) * tile, count = std::min(tile, columns - first);
        transposed.middleCols(first, count) = factor.solve(transposed.middleCols(first, count)).eval();
    });
    if (rest > 0) {
        decoder::matrix lost = x.bottomRows(rest) - z.bottomRows(rest);
        const float before = lost.squaredNorm();
        decoder::for_each_row_block(rest, threads, [&](Eigen::Index first, Eigen::Index rows) {
            lost.middleRows(first, rows).noalias() -= z.middleRows(used + first, rows) * transposed;
        });
        if (!(lost.squaredNorm() < before)) return {};
    }
    return transposed.transpose();
}

}  // namespace tessera
