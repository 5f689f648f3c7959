// The second moments of a matrix's inputs, factored for rounding its columns in turn.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>
#include <vector>

#include <Eigen/Cholesky>
#include <Eigen/Core>

#include "tessera/config.hpp"
#include "tessera/core/parallel.hpp"

namespace tessera {

struct gram_factor_options {
    /// What every column's second moment grows by, as a part of their mean, when tokens are many. The default was chosen
    /// by the divergence of one small model.
    double damping = 0.1;
    int threads = 0;  ///< 0: all of the machine's
};

/// H = L D L', where H are the damped second moments of the inputs of a matrix and L is unit lower triangular. Columns
/// stand in positions: the one in the last position is rounded first, and its error e moves what is still to be rounded
/// at position p by e L(last, p). Then D(p) is what a squared error at p costs that the positions before p can no
/// longer make good. Eight neighbouring columns stay together, so that one factor serves formats of vectors, too; the
/// eights go by decreasing second moment.
///
/// Memory: one float per pair of columns. (LDLQ: Chee et al. 2023; the same rounding as GPTQ's: Frantar et al. 2022)
class gram_factor {
public:
    using matrix = Eigen::MatrixXf;
    static constexpr std::size_t unit = 8;  ///< neighbouring columns that stay together

    /// Takes sums of x x' over `tokens` inputs x: symmetric, a multiple of eight columns. The damping is
    /// multiplied by 1 + columns / tokens. What is still not positive definite is damped tenfold, then loses half of
    /// everything off the diagonal until it is. Without a finite positive second moment all columns count alike.
    template <class Gram>
    explicit gram_factor(const Gram& gram, std::uint64_t tokens, const gram_factor_options& options = {}) {
        const Eigen::Index columns = gram.rows();
        TESSERA_ASSERT(gram.cols() == columns && static_cast<std::size_t>(columns) % unit == 0,
                       "a Gram matrix is square, of whole units of columns");
        const auto of_tokens = 1.0f / static_cast<float>(std::max<std::uint64_t>(tokens, 1));
        importance_.resize(static_cast<std::size_t>(columns));
        double sum = 0;
        for (Eigen::Index c = 0; c < columns; ++c) {
            const float moment = gram(c, c) * of_tokens;
            importance_[static_cast<std::size_t>(c)] = std::isfinite(moment) && moment > 0.0f ? moment : 0.0f;
            sum += double{importance_[static_cast<std::size_t>(c)]};
        }
        sort_columns();

        const bool usable = sum > 0 && std::isfinite(sum);
        const double mean = usable ? sum / static_cast<double>(columns) : 1.0;
        damping_ = options.damping * (1.0 + static_cast<double>(columns) / static_cast<double>(std::max<std::uint64_t>(tokens, 1)));
        coupling_ = usable ? 1.0 : 0.0;
        const auto scale = static_cast<float>(1.0 / mean);
        for (bool damped = false; !factor(gram, of_tokens * scale, scale, options.threads);) {
            if (damped) coupling_ = coupling_ < 0.1 ? 0.0 : coupling_ / 2;
            if (!damped) damping_ = std::max(10 * damping_, 0.01);
            damped = true;
        }
    }

    [[nodiscard]] std::size_t columns() const noexcept { return order_.size(); }
    /// The column in each position.
    [[nodiscard]] std::span<const std::size_t> order() const noexcept { return order_; }
    /// D, by position; mean second moments are 1.
    [[nodiscard]] std::span<const float> pivots() const noexcept { return pivots_; }
    /// L, by positions; what is above the diagonal means nothing.
    [[nodiscard]] const matrix& lower() const noexcept { return lower_; }
    /// Mean squares of the inputs, by column.
    [[nodiscard]] std::span<const float> importance() const noexcept { return importance_; }
    /// What second moments grew by, as a part of their mean.
    [[nodiscard]] double damping() const noexcept { return damping_; }
    /// The part of everything off the diagonal that was kept: 1, or less where nothing else would do.
    [[nodiscard]] double coupling() const noexcept { return coupling_; }

private:
    void sort_columns() {
        std::vector<std::size_t> units(importance_.size() / unit);
        std::vector<double> moments(units.size());
        for (std::size_t c = 0; c < importance_.size(); ++c) moments[c / unit] += double{importance_[c]};
        std::iota(units.begin(), units.end(), std::size_t{0});
        std::ranges::stable_sort(units, [&](std::size_t a, std::size_t b) { return moments[a] < moments[b]; });
        for (const std::size_t u : units)
            for (std::size_t i = unit; i-- > 0;) order_.push_back(u * unit + i);
    }

    // Fills lower_ and pivots_; false when the matrix is not positive definite.
    template <class Gram>
    [[nodiscard]] bool factor(const Gram& gram, float scale, float diagonal_scale, int threads) {
        const auto n = static_cast<Eigen::Index>(order_.size());
        const float off_diagonal = static_cast<float>(coupling_) * scale;
        lower_.resize(n, n);
        parallel_for(order_.size(), threads, [&](std::size_t p) {
            const auto c = static_cast<Eigen::Index>(p);
            for (Eigen::Index r = c + 1; r < n; ++r)
                lower_(r, c) = coupling_ == 0.0 ? 0.0f : off_diagonal * gram(column(r), column(c));
            lower_(c, c) = importance_[order_[p]] * diagonal_scale + static_cast<float>(damping_);
        });
        if (!decompose(threads)) return false;
        pivots_.resize(order_.size());
        for (Eigen::Index c = 0; c < n; ++c) {
            const float root = lower_(c, c);
            if (!std::isfinite(root) || !(root > 0.0f)) return false;
            pivots_[static_cast<std::size_t>(c)] = root * root;
            lower_.col(c).tail(n - c) /= root;
        }
        return true;
    }
    [[nodiscard]] Eigen::Index column(Eigen::Index position) const {
        return static_cast<Eigen::Index>(order_[static_cast<std::size_t>(position)]);
    }

    // The Cholesky decomposition in place, in panels: Eigen's own runs on one thread.
    [[nodiscard]] bool decompose(int threads) {
        constexpr Eigen::Index width = 256;
        const Eigen::Index n = lower_.rows();
        for (Eigen::Index k = 0; k < n; k += width) {
            const Eigen::Index size = std::min(width, n - k), below = k + size;
            auto corner = lower_.block(k, k, size, size);
            if (Eigen::LLT<Eigen::Ref<matrix>>(corner).info() != Eigen::Success) return false;
            const auto tiles = static_cast<std::size_t>((n - below + width - 1) / width);
            const auto rows_of = [&](std::size_t tile) {
                const Eigen::Index first = below + static_cast<Eigen::Index>(tile) * width;
                return lower_.block(first, k, std::min(width, n - first), size);
            };
            parallel_for(tiles, threads, [&](std::size_t i) {
                auto rows = rows_of(i);
                corner.template triangularView<Eigen::Lower>().transpose().template solveInPlace<Eigen::OnTheRight>(rows);
            });
            parallel_for(tiles * tiles, threads, [&](std::size_t i) {
                const std::size_t a = i / tiles, b = i % tiles;
                if (b > a) return;
                const auto left = rows_of(a), right = rows_of(b);
                lower_.block(left.startRow(), right.startRow(), left.rows(), right.rows()).noalias() -= left * right.transpose();
            });
        }
        return true;
    }

    std::vector<float> importance_, pivots_;
    std::vector<std::size_t> order_;
    matrix lower_;
    double damping_, coupling_;
};

}  // namespace tessera
