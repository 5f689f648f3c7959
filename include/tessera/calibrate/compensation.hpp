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
#include "tessera/decoder/observer.hpp"
#include "tessera/encode/gram_factor.hpp"

namespace tessera {

/// M that brings (W + W M) z nearest to W x, for inputs z of quantized layers and original inputs x: the ridge
/// regression of x on z, less the identity,
///     M = (x'z - z'z) (z'z + damping)^-1.
/// Rows of x and z are the same tokens, in the same tiles. M is fitted to the first `used` of them, and `gram` is their
/// z'z; the others are held out. The damping is gram_factor's. The result is empty where the moments are not positive
/// definite, or where z + z M' is not nearer to x than z is on the rows held out.
///
/// Memory is one more matrix of columns^2 floats, and a tile of x and z: the decomposition takes the room of one half
/// of `gram`, which is as it was at the end.
template <class = void>
[[nodiscard]] decoder::matrix compensation(const decoder::input_tiles& x, const decoder::input_tiles& z,
                                           Eigen::Index used, decoder::matrix& gram, double damping, int threads) {
    constexpr Eigen::Index tile = 64;
    const Eigen::Index columns = z.cols();
    const double mean = static_cast<double>(gram.diagonal().mean());
    if (!(mean > 0)) return {};
    decoder::matrix transposed, buffer;
    z.for_each(0, used, [&](Eigen::Index first, const activation_rows& rows) {
        const Eigen::Index count = std::min(rows.rows(), used - first);
        const activation_rows original = x.tile(z.tile_at(first), buffer);
        add_cross_moments(transposed, rows.topRows(count), original.topRows(count), threads);
    });
    transposed -= gram;  // z'x - z'z
    const decoder::serial_products guard;
    const Eigen::VectorXf diagonal = gram.diagonal();
    gram.diagonal().array() += static_cast<float>(
        damping_of(damping, static_cast<std::size_t>(columns), static_cast<std::uint64_t>(used)) * mean);
    {
        const Eigen::LLT<Eigen::Ref<decoder::matrix>> factor(gram);
        if (factor.info() == Eigen::Success)
            parallel_for(static_cast<std::size_t>((columns + tile - 1) / tile), threads, [&](std::size_t i) {
                const Eigen::Index first = static_cast<Eigen::Index>(i) * tile, count = std::min(tile, columns - first);
                transposed.middleCols(first, count) = factor.solve(transposed.middleCols(first, count)).eval();
            });
        else
            transposed.resize(0, 0);
    }
    gram.triangularView<Eigen::StrictlyLower>() = gram.transpose();
    gram.diagonal() = diagonal;
    if (transposed.size() == 0) return {};

    double before = 0, after = 0;
    z.for_each(used, z.rows(), [&](Eigen::Index first, const activation_rows& rows) {
        const Eigen::Index seen = std::clamp<Eigen::Index>(used - first, 0, rows.rows()), rest = rows.rows() - seen;
        decoder::matrix lost = x.tile(z.tile_at(first), buffer).bottomRows(rest) - rows.bottomRows(rest);
        before += static_cast<double>(lost.squaredNorm());
        decoder::for_each_row_block(rest, threads, [&](Eigen::Index block, Eigen::Index count) {
            lost.middleRows(block, count).noalias() -= rows.middleRows(seen + block, count) * transposed;
        });
        after += static_cast<double>(lost.squaredNorm());
    });
    if (used < z.rows() && !(after < before)) return {};
    transposed.transposeInPlace();
    return transposed;
}

}  // namespace tessera
