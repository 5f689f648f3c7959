// The Cholesky decomposition in panels, on several threads: Eigen's own runs on one, to its end.
#pragma once

#include <algorithm>
#include <cstddef>

#include <Eigen/Cholesky>
#include <Eigen/Core>

#include "tessera/core/parallel.hpp"
#include "tessera/core/stage_meter.hpp"
#include "tessera/core/stop.hpp"

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

/// Columns x become (L L')^-1 x, on one thread.
template <class Lower, class Columns>
void solve(const Lower& lower, Columns&& x) {
    constexpr Eigen::Index width = cholesky_panel;
    const Eigen::Index n = lower.rows();
    for (Eigen::Index k = 0; k < n; k += width) {
        stop_if_requested();
        const Eigen::Index size = std::min(width, n - k), rest = n - k - size;
        auto here = x.middleRows(k, size);
        lower.block(k, k, size, size).template triangularView<Eigen::Lower>().solveInPlace(here);
        if (rest > 0) x.bottomRows(rest).noalias() -= lower.block(k + size, k, rest, size) * here;
    }
    for (Eigen::Index end = n; end > 0;) {
        stop_if_requested();
        const Eigen::Index k = (end - 1) / width * width, size = end - k, rest = n - end;
        auto here = x.middleRows(k, size);
        if (rest > 0) here.noalias() -= lower.block(end, k, rest, size).transpose() * x.bottomRows(rest);
        lower.block(k, k, size, size).template triangularView<Eigen::Lower>().transpose().solveInPlace(here);
        end = k;
    }
}

}  // namespace tessera::detail
