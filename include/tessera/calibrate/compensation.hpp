// Compensating, in a matrix, the error of its inputs.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <Eigen/Core>

#include "tessera/calibrate/column_statistics.hpp"
#include "tessera/core/panels.hpp"
#include "tessera/core/parallel.hpp"
#include "tessera/decoder/matrix.hpp"
#include "tessera/decoder/observer.hpp"
#include "tessera/encode/cholesky.hpp"
#include "tessera/encode/gram_factor.hpp"

namespace tessera {

namespace detail {

// Columns x become (gram + damping)^-1 x; false where that is not positive definite. The decomposition takes the room
// of one half of `gram`, which is as it was at the end.
template <class = void>
[[nodiscard]] bool solve_damped(decoder::matrix& gram, float damping, decoder::matrix& x, int threads) {
    constexpr Eigen::Index panel = cholesky_panel;
    const Eigen::Index n = gram.rows();
    std::vector<decoder::matrix> corners;  // that the decomposition does not leave alone
    for (Eigen::Index k = 0; k < n; k += panel) {
        const Eigen::Index size = std::min(panel, n - k);
        corners.emplace_back(gram.block(k, k, size, size));
    }
    gram.diagonal().array() += damping;
    const bool is_definite = decompose(gram, threads);
    if (is_definite) solve(gram, x, threads);
    for (std::size_t i = 0; i < corners.size(); ++i) {
        const Eigen::Index k = static_cast<Eigen::Index>(i) * panel, size = corners[i].rows();
        gram.block(k, k, size, size) = corners[i];
    }
    for_each_tile_pair(gram, panel, threads, [](auto tile, auto mirrored) {
        if (tile.startRow() != tile.startCol()) tile = mirrored.transpose();
    });
    return is_definite;
}

}  // namespace detail

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
    const Eigen::Index columns = z.cols();
    const double mean = static_cast<double>(gram.diagonal().mean());
    if (!(mean > 0)) return {};
    decoder::matrix transposed, buffer;
    z.for_each(0, used, [&](Eigen::Index first, const activation_rows& rows) {
        const Eigen::Index count = std::min(rows.rows(), used - first);
        const activation_rows original = x.tile(z.tile_at(first), buffer);
        add_cross_moments(transposed, rows.topRows(count), original.topRows(count), threads);
    });
    decoder::for_each_row_block(columns, threads, [&](Eigen::Index first, Eigen::Index count) {
        transposed.middleRows(first, count) -= gram.middleRows(first, count);  // z'x - z'z
    });
    const decoder::serial_products guard;
    const auto damped = static_cast<float>(
        damping_of(damping, static_cast<std::size_t>(columns), static_cast<std::uint64_t>(used)) * mean);
    if (!detail::solve_damped(gram, damped, transposed, threads)) return {};

    double before = 0, after = 0;
    z.for_each(used, z.rows(), [&](Eigen::Index first, const activation_rows& rows) {
        const Eigen::Index seen = std::clamp<Eigen::Index>(used - first, 0, rows.rows()), rest = rows.rows() - seen;
        decoder::matrix lost = x.tile(z.tile_at(first), buffer).bottomRows(rest) - rows.bottomRows(rest);
        before += static_cast<double>(lost.squaredNorm());
        decoder::for_each_row_block(rest, threads, [&](Eigen::Index block, Eigen::Index count) {
            for_each_panel(columns, [&](Eigen::Index column, Eigen::Index width) {
                lost.block(block, column, count, width).noalias() -=
                    rows.middleRows(seen + block, count) * transposed.middleCols(column, width);
            });
        });
        after += static_cast<double>(lost.squaredNorm());
    });
    if (used < z.rows() && !(after < before)) return {};
    detail::for_each_tile_pair(transposed, detail::cholesky_panel, threads, [](auto tile, auto mirrored) {
        const decoder::matrix other = mirrored.transpose();
        if (tile.startRow() != tile.startCol()) mirrored = tile.transpose();
        tile = other;
    });
    return transposed;
}

}  // namespace tessera
