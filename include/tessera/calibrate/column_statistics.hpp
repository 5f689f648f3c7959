// Calibration statistics of the inputs of one matrix, by column.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "tessera/core/parallel.hpp"
#include "tessera/core/stage_meter.hpp"
#include "tessera/decoder/matrix.hpp"
#include "tessera/encode/shared_product.hpp"
#include "tessera/kernels/column_sums.hpp"

namespace tessera {

/// Rows of activations, possibly some columns of a wider matrix.
using activation_rows = Eigen::Ref<const decoder::matrix, 0, Eigen::OuterStride<>>;

/// Sums over the tokens that a matrix saw, one of each per column of the matrix.
struct column_statistics {
    std::uint64_t tokens = 0;
    std::vector<double> squares;  ///< sum of x^2
    std::vector<double> sums;     ///< sum of x
    std::vector<float> peaks;     ///< largest |x|
    decoder::matrix gram;         ///< sum of x x', columns x columns; empty where it was not asked for

    [[nodiscard]] std::size_t columns() const noexcept { return squares.size(); }

    /// Columns in which nothing but 0 was seen.
    [[nodiscard]] std::size_t never_active() const noexcept {
        return static_cast<std::size_t>(std::ranges::count(peaks, 0.0f));
    }
    /// Adds what was seen of the same columns elsewhere, Gram matrices excepted.
    void add(const column_statistics& other) {
        squares.resize(other.columns());
        sums.resize(other.columns());
        peaks.resize(other.columns());
        tokens += other.tokens;
        for (std::size_t c = 0; c < columns(); ++c) {
            squares[c] += other.squares[c];
            sums[c] += other.sums[c];
            peaks[c] = std::max(peaks[c], other.peaks[c]);
        }
    }
};

/// Adds rows to sums and peaks. The result is the same bits for every number of threads: blocks of rows are summed
/// apart, in floats for 32 rows and in doubles beyond, and added in their order.
inline void add_rows(column_statistics& to, const activation_rows& rows, int threads) {
    constexpr std::size_t block_rows = 256, float_rows = 32;
    const auto count = static_cast<std::size_t>(rows.rows()), columns = static_cast<std::size_t>(rows.cols());
    const auto stride = static_cast<std::size_t>(rows.outerStride());
    std::vector<column_statistics> blocks((count + block_rows - 1) / block_rows);
    parallel_for(blocks.size(), threads, [&](std::size_t b) {
        column_statistics& block = blocks[b];
        block.squares.resize(columns);
        block.sums.resize(columns);
        block.peaks.resize(columns);
        std::vector<float> squares(columns), sums(columns);
        const std::size_t end = std::min(count, (b + 1) * block_rows);
        block.tokens = end - b * block_rows;
        for (std::size_t r = b * block_rows; r < end; r += float_rows) {
            kernels::add_to_columns(rows.data() + r * stride, stride, std::min(float_rows, end - r),
                                    {squares, sums, block.peaks});
            for (std::size_t c = 0; c < columns; ++c) {
                block.squares[c] += double{squares[c]};
                block.sums[c] += double{sums[c]};
                squares[c] = sums[c] = 0;
            }
        }
    });
    for (const column_statistics& block : blocks) to.add(block);
}

namespace detail {

[[nodiscard]] inline vectors columns_of(const activation_rows& x) {
    return {x.data(), static_cast<std::size_t>(x.outerStride()), static_cast<std::size_t>(x.cols()),
            vectors::kind::columns};
}

// Calls body(tile, its mirror image) for the tiles of `size` rows and columns below the diagonal of a square matrix,
// and body(tile, tile) for those on it, on several threads.
template <class Body>
void for_each_tile_pair(decoder::matrix& square, Eigen::Index size, int threads, Body&& body) {
    const Eigen::Index n = square.rows(), tiles = (n + size - 1) / size;
    parallel_for(static_cast<std::size_t>(tiles * tiles), threads, [&](std::size_t i) {
        const Eigen::Index a = static_cast<Eigen::Index>(i) / tiles * size,
                           b = static_cast<Eigen::Index>(i) % tiles * size;
        if (b > a) return;
        const Eigen::Index height = std::min(size, n - a), width = std::min(size, n - b);
        body(square.block(a, b, height, width), square.block(b, a, width, height));
    });
}

}  // namespace detail

/// Adds the products of all pairs of columns to the Gram matrix: float products of some rows at a time, in tiles that
/// do not depend on the number of threads. (A template, as what follows: compiled where somebody calls it.)
template <class = void>
void add_gram(column_statistics& to, const activation_rows& rows, int threads) {
    const Eigen::Index columns = rows.cols();
    if (to.gram.size() == 0) to.gram = decoder::matrix::Zero(columns, columns);
    const detail::vectors all = detail::columns_of(rows);
    detail::add_product(all, all, static_cast<std::size_t>(rows.rows()), 1.0f, detail::product_part::lower_half,
                        to.gram.data(), static_cast<std::size_t>(columns), threads);
    detail::for_each_tile_pair(to.gram, 256, threads, [](auto tile, auto mirrored) {
        if (tile.startRow() != tile.startCol())
            mirrored = tile.transpose();
        else
            tile.template triangularView<Eigen::StrictlyUpper>() = tile.transpose();
    });
    count_work(static_cast<double>(rows.rows()) * static_cast<double>(columns * columns) / 2);
}

/// Adds x' y to `moments`, for two inputs of the same tokens: float products as add_gram's.
template <class = void>
void add_cross_moments(decoder::matrix& moments, const activation_rows& x, const activation_rows& y, int threads) {
    if (moments.size() == 0) moments = decoder::matrix::Zero(x.cols(), y.cols());
    detail::add_product(detail::columns_of(x), detail::columns_of(y), static_cast<std::size_t>(x.rows()), 1.0f,
                        detail::product_part::whole, moments.data(), static_cast<std::size_t>(moments.cols()), threads);
    count_work(static_cast<double>(x.rows()) * static_cast<double>(moments.size()));
}

}  // namespace tessera
