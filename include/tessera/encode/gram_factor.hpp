// The Gram matrix of a matrix's inputs, factored for rounding its columns in turn.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>
#include <vector>

#include <Eigen/Core>

#include "tessera/config.hpp"
#include "tessera/core/parallel.hpp"
#include "tessera/encode/cholesky.hpp"
#include "tessera/kernels/product.hpp"

namespace tessera {

struct gram_factor_options {
    /// What every column's second moment grows by, as a part of their mean, when tokens are many. The default was
    /// chosen by the divergence of one small model.
    double damping = 0.1;
    int threads = 0;  ///< 0: all of the machine's
};

/// The part of the mean second moment that damping adds: more where tokens are few for the columns.
[[nodiscard]] inline double damping_of(double damping, std::size_t columns, std::uint64_t tokens) noexcept {
    return damping * (1.0 + static_cast<double>(columns) / static_cast<double>(std::max<std::uint64_t>(tokens, 1)));
}

/// Neighbouring columns that are rounded one after another, beginning with step `first_step`.
struct gram_span {
    std::size_t first_column, columns, first_step;
    Eigen::MatrixXf within;         ///< U of the span's own steps; what is below the diagonal is not used
    kernels::packed_left<> before;  ///< for each of its steps a row: U of all the steps before the span
};

/// H = U D U', where H is the damped Gram matrix of the inputs of a matrix and U is unit upper triangular. (H is the
/// Hessian of the layer's squared error, up to a factor.) Columns are rounded in steps: the error e of step s moves
/// what is still to be rounded at step t by e U(s, t). D(t) is the cost of a squared error at t that the steps after t
/// cannot compensate. Columns stay together in spans of 256 (the last one may be shorter), which hold whole blocks of
/// every format; spans come in the order of falling second moments, and so do the groups of eight neighbours within a
/// span, so that one factor serves formats of vectors, too.
///
/// Memory: half a float per pair of columns, one while it is made. (LDLQ: Chee et al. 2023; the same rounding as
/// GPTQ's: Frantar et al. 2022)
class gram_factor {
public:
    static constexpr std::size_t span = 256;         ///< neighbouring columns that stay together, for blocks
    static constexpr std::size_t largest_group = 8;  ///< the same, for formats that round groups of weights

    /// Takes sums of x x' over `tokens` inputs x: symmetric, a multiple of eight columns. The damping is
    /// multiplied by 1 + columns / tokens. What is still not positive definite is damped tenfold, then loses half of
    /// everything off the diagonal until it is. Without a finite positive second moment all columns count alike.
    template <class Gram>
    explicit gram_factor(const Gram& gram, std::uint64_t tokens, const gram_factor_options& options = {}) {
        const Eigen::Index columns = gram.rows();
        TESSERA_ASSERT(gram.cols() == columns && static_cast<std::size_t>(columns) % largest_group == 0,
                       "a Gram matrix is square, of whole groups of columns");
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
        damping_ = damping_of(options.damping, static_cast<std::size_t>(columns), tokens);
        coupling_ = usable ? 1.0 : 0.0;
        const auto scale = static_cast<float>(1.0 / mean);
        matrix lower;
        for (bool damped = false; !factor(gram, of_tokens * scale, scale, options.threads, lower);) {
            if (damped) coupling_ = coupling_ < 0.1 ? 0.0 : coupling_ / 2;
            if (!damped) damping_ = std::max(10 * damping_, 0.01);
            damped = true;
        }
        divide(lower, options.threads);
    }

    [[nodiscard]] std::size_t columns() const noexcept { return order_.size(); }
    /// The column of each step.
    [[nodiscard]] std::span<const std::size_t> order() const noexcept { return order_; }
    /// D, by step; mean second moments are 1.
    [[nodiscard]] std::span<const float> pivots() const noexcept { return pivots_; }
    /// U, span by span in the order of steps.
    [[nodiscard]] std::span<const gram_span> spans() const noexcept { return spans_; }
    /// Mean squares of the inputs, by column.
    [[nodiscard]] std::span<const float> importance() const noexcept { return importance_; }
    /// What second moments grew by, as a part of their mean.
    [[nodiscard]] double damping() const noexcept { return damping_; }
    /// The part of everything off the diagonal that was kept: 1, or less where nothing else would do.
    [[nodiscard]] double coupling() const noexcept { return coupling_; }

private:
    using matrix = Eigen::MatrixXf;

    void sort_columns() {
        const auto sorted = [this](std::size_t first, std::size_t last, std::size_t size) {
            std::vector<std::size_t> firsts;
            for (std::size_t c = first; c < last; c += size) firsts.push_back(c);
            const auto moment = [&](std::size_t c) {
                return std::accumulate(importance_.begin() + static_cast<std::ptrdiff_t>(c),
                                       importance_.begin() + static_cast<std::ptrdiff_t>(std::min(c + size, last)),
                                       0.0);
            };
            std::ranges::stable_sort(firsts, std::ranges::greater{}, moment);
            return firsts;
        };
        for (const std::size_t first : sorted(0, importance_.size(), span)) {
            const std::size_t last = std::min(first + span, importance_.size());
            spans_.push_back({first, last - first, order_.size(), {}, {0, 0}});
            for (const std::size_t c : sorted(first, last, largest_group))
                for (std::size_t i = 0; i < largest_group; ++i) order_.push_back(c + i);
        }
    }

    // The matrices whose decomposition is at hand have steps in reverse: then it is the one that all libraries know.
    [[nodiscard]] Eigen::Index reversed(std::size_t step) const {
        return static_cast<Eigen::Index>(order_.size() - 1 - step);
    }

    // Decomposes the damped moments; false when they are not positive definite.
    template <class Gram>
    [[nodiscard]] bool factor(const Gram& gram, float scale, float diagonal_scale, int threads, matrix& lower) const {
        const std::size_t n = order_.size();
        const float off_diagonal = static_cast<float>(coupling_) * scale;
        lower.resize(static_cast<Eigen::Index>(n), static_cast<Eigen::Index>(n));
        parallel_for(n, threads, [&](std::size_t t) {
            const auto column = static_cast<Eigen::Index>(order_[t]);
            for (std::size_t s = 0; s < t; ++s)
                lower(reversed(s), reversed(t)) =
                    coupling_ == 0.0 ? 0.0f : off_diagonal * gram(static_cast<Eigen::Index>(order_[s]), column);
            lower(reversed(t), reversed(t)) = importance_[order_[t]] * diagonal_scale + static_cast<float>(damping_);
        });
        return detail::decompose(lower, threads) &&
               (lower.diagonal().array() > 0.0f && lower.diagonal().array().isFinite()).all();
    }

    // Makes pivots and spans of the Cholesky factor. (A template: compiled where a factor is made.)
    template <class Lower>
    void divide(const Lower& lower, int threads) {
        pivots_.resize(order_.size());
        for (std::size_t t = 0; t < order_.size(); ++t) {
            const float root = lower(reversed(t), reversed(t));
            pivots_[t] = root * root;
        }
        parallel_for(spans_.size(), threads, [&](std::size_t i) {
            gram_span& s = spans_[i];
            const auto columns = static_cast<Eigen::Index>(s.columns), before = static_cast<Eigen::Index>(s.first_step);
            const Eigen::Index first = reversed(s.first_step + s.columns - 1);
            const auto roots = lower.diagonal().segment(first, columns).reverse();
            const auto upper = [&](Eigen::Index from, Eigen::Index rows) -> matrix {
                return lower.block(from, first, rows, columns).reverse() * roots.cwiseInverse().asDiagonal();
            };
            s.within = upper(first, columns);
            const matrix moves = upper(first + columns, before);
            s.before = kernels::packed_left<>(s.columns, s.first_step);
            s.before.pack(0, moves.data(), s.first_step, s.columns);
        });
    }

    std::vector<float> importance_, pivots_;
    std::vector<std::size_t> order_;
    std::vector<gram_span> spans_;
    double damping_, coupling_;
};

}  // namespace tessera
