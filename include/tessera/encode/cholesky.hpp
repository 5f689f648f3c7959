// The Cholesky decomposition in panels, on several threads: Eigen's own runs on one, to its end.
#pragma once

#include <algorithm>
#include <cstddef>

#include <Eigen/Cholesky>
#include <Eigen/Core>

#include "tessera/core/parallel.hpp"
#include "tessera/core/stage_meter.hpp"
#include "tessera/encode/shared_product.hpp"

namespace tessera::detail {

inline constexpr Eigen::Index cholesky_panel = 256;

/// Puts L of L L' into the lower half of a symmetric matrix, of which only this half is read; of the upper half the
/// tiles on the diagonal are lost. False where the matrix is not positive definite.
template <class Lower>
[[nodiscard]] bool decompose(Lower& lower, int threads) {
    constexpr Eigen::Index width = cholesky_panel;
    const Eigen::Index n = lower.rows();
    for (Eigen::Index k = 0; k < n; k += width) {
        const Eigen::Index size = std::min(width, n - k), below = k + size;
        auto corner = lower.block(k, k, size, size);
        if (Eigen::LLT<Eigen::Ref<Lower>>(corner).info() != Eigen::Success) return false;
        const auto tiles = static_cast<std::size_t>((n - below + width - 1) / width);
        const auto rows_of = [&](std::size_t tile) {
            const Eigen::Index first = below + static_cast<Eigen::Index>(tile) * width;
            return lower.block(first, k, std::min(width, n - first), size);
        };
        parallel_for(tiles, threads, [&](std::size_t i) {
            auto rows = rows_of(i);
            corner.template triangularView<Eigen::Lower>().transpose().template solveInPlace<Eigen::OnTheRight>(rows);
        });
        parallel_for(tiles * tiles, threads, [&](std::size_t i) {
            const std::size_t a = i / tiles, b = i % tiles;
            if (b > a) return;
            const auto left = rows_of(a), right = rows_of(b);
            lower.block(left.startRow(), right.startRow(), left.rows(), right.rows()).noalias() -=
                left * right.transpose();
        });
        count_work(static_cast<double>(size) * static_cast<double>((n - k) * (n - k)) / 2);
    }
    return true;
}

// Rows first .. first + count of a matrix, and of them the columns from `column` on, as vectors.
template <class Matrix>
[[nodiscard]] vectors rows_of(const Matrix& m, Eigen::Index first, Eigen::Index count, Eigen::Index column) {
    static_assert(Matrix::IsRowMajor);
    return {m.data() + first * m.outerStride() + column, static_cast<std::size_t>(m.outerStride()),
            static_cast<std::size_t>(count), vectors::kind::rows};
}
// Its first columns, and of them the rows from `row` on.
template <class Matrix>
[[nodiscard]] vectors columns_of(const Matrix& m, Eigen::Index count, Eigen::Index row) {
    static_assert(Matrix::IsRowMajor);
    return {m.data() + row * m.outerStride(), static_cast<std::size_t>(m.outerStride()),
            static_cast<std::size_t>(count), vectors::kind::columns};
}

/// Columns x become (L L')^-1 x. Both matrices are row-major. All but the corners on the diagonal of L, which are
/// inverted, are products.
template <class Lower, class Columns>
void solve(const Lower& lower, Columns& x, int threads) {
    constexpr Eigen::Index width = cholesky_panel, some = 16;
    const Eigen::Index n = lower.rows(), panels = (n + width - 1) / width;
    const auto size_of = [&](Eigen::Index panel) { return std::min(width, n - panel * width); };
    // out += factor times the products of these vectors and the columns of a panel's rows of x.
    const auto add = [&](const vectors& left, Eigen::Index panel, float factor, float* out) {
        add_product(left, columns_of(x, x.cols(), panel * width), static_cast<std::size_t>(size_of(panel)), factor,
                    product_part::whole, out, static_cast<std::size_t>(x.cols()), threads);
    };
    const auto inverse_of = [&](Eigen::Index panel) {
        Lower inverse = Lower::Identity(size_of(panel), size_of(panel));
        lower.block(panel * width, panel * width, size_of(panel), size_of(panel))
            .template triangularView<Eigen::Lower>()
            .solveInPlace(inverse);
        return inverse;
    };
    const auto multiply = [&](const vectors& left, Eigen::Index panel) {
        const Eigen::Index size = size_of(panel);
        Columns products = Columns::Zero(size, x.cols());
        add(left, panel, 1.0f, products.data());
        parallel_for(static_cast<std::size_t>((size + some - 1) / some), threads, [&](std::size_t i) {
            const Eigen::Index first = static_cast<Eigen::Index>(i) * some, count = std::min(some, size - first);
            x.middleRows(panel * width + first, count) = products.middleRows(first, count);
        });
    };
    for (Eigen::Index p = 0; p < panels; ++p) {
        const Lower inverse = inverse_of(p);
        multiply(rows_of(inverse, 0, size_of(p), 0), p);
        const Eigen::Index below = p * width + size_of(p);
        if (below < n) add(rows_of(lower, below, n - below, p * width), p, -1.0f, &x(below, 0));
    }
    for (Eigen::Index p = panels; p-- > 0;) {
        const Lower inverse = inverse_of(p);
        multiply(columns_of(inverse, size_of(p), 0), p);
        if (p > 0) add(columns_of(lower, p * width, p * width), p, -1.0f, x.data());
    }
}

}  // namespace tessera::detail
