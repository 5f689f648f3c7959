// Rounding in turn: the error of each column is made good by the columns that are still to come.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <limits>
#include <memory>
#include <span>
#include <vector>

#include <Eigen/Core>

#include "tessera/config.hpp"
#include "tessera/encode/column_rounding.hpp"
#include "tessera/encode/encoders.hpp"
#include "tessera/encode/gram_factor.hpp"
#include "tessera/format/concepts.hpp"
#include "tessera/format/registry.hpp"

namespace tessera {

/// Encodes some rows with error feedback; reusable for any number of them.
///
/// Minimises  e H e'  for every row's error e, with H as the factor has it. Scales come from the importance-weighted
/// search and stay; columns are then rounded in the factor's order, each (or each eight of a lattice) to what is
/// nearest once the errors of those before it are added. Rows lie across SIMD lanes; of the work, all but what happens
/// within 64 columns is a matrix product.
template <rounds_in_columns F>
class feedback_rows {
    using block = typename F::block;
    static constexpr std::size_t group = F::group;
    static constexpr std::size_t panel_columns = 64;

public:
    static constexpr std::size_t rows = 64;  ///< encoded at once; fewer cost as much

    explicit feedback_rows(const gram_factor& factor)
        : factor_(factor),
          columns_(factor.columns()),
          weights_(static_cast<Eigen::Index>(columns_), rows),
          aims_(static_cast<Eigen::Index>(columns_), rows),
          errors_(static_cast<Eigen::Index>(columns_), rows),
          rounding_(std::make_unique<column_rounding<F, rows>>(columns_)) {
        TESSERA_ASSERT(columns_ % F::block_size == 0, "a row holds whole blocks");
        pivots_by_column_.resize(columns_);
        for (std::size_t p = 0; p < columns_; ++p) pivots_by_column_[factor.order()[p]] = factor.pivots()[p];
    }

    /// Encodes at most `rows` rows. After the first pass scales are fitted `refits` times to what was really rounded, each
    /// column weighed by what its errors cost by then, and everything is rounded again; a row keeps the best.
    void operator()(std::span<const float> weights, std::span<const float> importance, int refits, std::span<block> out) {
        const std::size_t count = weights.size() / columns_, row_blocks = columns_ / F::block_size;
        take(weights, count);
        std::array<double, rows> least;
        least.fill(std::numeric_limits<double>::infinity());
        std::vector<float> aims(columns_);
        for (int pass = 0; pass <= refits; ++pass) {
            for (std::size_t r = 0; r < count; ++r) {
                if (pass == 0) {
                    fit(r, weights.subspan(r * columns_, columns_), importance);
                } else {
                    for (std::size_t p = 0; p < columns_; ++p) aims[factor_.order()[p]] = aims_(index(p), index(r));
                    fit(r, aims, pivots_by_column_);
                }
            }
            round();
            for (std::size_t r = 0; r < count; ++r) {
                if (cost_[index(r)] >= least[r]) continue;
                least[r] = cost_[index(r)];
                rounding_->store(r, out.subspan(r * row_blocks, row_blocks));
            }
        }
    }

private:
    // One row per position, one column per row of weights.
    using panel = Eigen::Array<float, Eigen::Dynamic, rows, Eigen::RowMajor>;
    using lanes = Eigen::Array<float, 1, rows>;

    [[nodiscard]] static Eigen::Index index(std::size_t i) noexcept { return static_cast<Eigen::Index>(i); }

    void take(std::span<const float> weights, std::size_t count) {
        weights_.setZero();
        for (std::size_t p = 0; p < columns_; ++p)
            for (std::size_t r = 0; r < count; ++r)
                weights_(index(p), index(r)) = weights[r * columns_ + factor_.order()[p]];
    }

    void fit(std::size_t row, std::span<const float> weights, std::span<const float> importance) {
        packed_.resize(columns_ / F::block_size);
        weighted{}(format_tag<F>{}, weights, importance, std::span<block>(packed_));
        typename F::scales scales;
        typename F::code_array codes;
        for (std::size_t b = 0; b < packed_.size(); ++b) {
            F::load(packed_[b], scales, codes);
            rounding_->set_scales(row, b, scales);
        }
    }

    // Rounds all columns: aims_, errors_ and cost_ follow.
    void round() {
        const gram_factor::matrix& lower = factor_.lower();
        cost_.setZero();
        panel& moved = aims_;  // what errors move each weight by; then where it is moved to
        for (std::size_t end = columns_; end > 0;) {
            const std::size_t begin = end - std::min(panel_columns, end);
            const Eigen::Index first = index(begin), count = index(end - begin), done = index(columns_ - end);
            moved.middleRows(first, count).matrix().noalias() =
                lower.block(index(end), first, done, count).transpose() * errors_.bottomRows(done).matrix();
            for (std::size_t p = end; p > begin; p -= group) round_group(p - group, begin);
            end = begin;
        }
    }

    // Rounds the columns in positions [first, first + group), then moves those in positions [begin, first).
    void round_group(std::size_t first, std::size_t begin) {
        const gram_factor::matrix& lower = factor_.lower();
        std::array<float, group> importance{};
        for (std::size_t j = 0; j < group; ++j) {  // in the order of columns, which positions reverse
            const std::size_t p = first + group - 1 - j;
            aim_.row(index(j)) = weights_.row(index(p)) + aims_.row(index(p));
            for (std::size_t k = first; k <= p; ++k)
                importance[j] += lower(index(p), index(k)) * lower(index(p), index(k)) * factor_.pivots()[k];
        }
        rounding_->round(factor_.order()[first + group - 1], aim_.data(), importance, value_.data());
        for (std::size_t p = first + group; p-- > first;) {
            const std::size_t j = first + group - 1 - p;
            const lanes error = weights_.row(index(p)) - value_.row(index(j));
            // Left over, also after what the group's own errors before this one move it by.
            const lanes left = error + aims_.row(index(p));
            cost_ += (left * left * factor_.pivots()[p]).template cast<double>();
            for (std::size_t s = begin; s < p; ++s) aims_.row(index(s)) += lower(index(p), index(s)) * error;
            errors_.row(index(p)) = error;
            aims_.row(index(p)) = aim_.row(index(j));
        }
    }

    const gram_factor& factor_;
    std::size_t columns_;
    panel weights_, aims_, errors_;  // by position
    Eigen::Array<float, group, rows, Eigen::RowMajor> aim_, value_;
    Eigen::Array<double, 1, rows> cost_;
    std::vector<float> pivots_by_column_;
    std::vector<block> packed_;
    std::unique_ptr<column_rounding<F, rows>> rounding_;
};

/// Error feedback: scales as `weighted` finds them, codes that know the whole row. Formats that are not made of scales
/// and codes are encoded as by `weighted`.
struct error_feedback {
    const gram_factor& factor;  ///< of the matrix's inputs
    int refits = 1;             ///< times that scales are fitted again

    static constexpr std::size_t rows_at_once = 64;  ///< that feedback_rows takes

    /// Encodes whole rows of the factor's columns; `importance` is one number per column, or nothing: the factor's.
    template <block_format F>
    void operator()(format_tag<F> format, std::span<const float> weights, std::span<const float> importance,
                    std::span<typename F::block> out) const {
        TESSERA_ASSERT(weights.size() == out.size() * F::block_size && weights.size() % factor.columns() == 0,
                       "weights are whole rows");
        const std::size_t columns = factor.columns(), row_blocks = columns / F::block_size;
        if (importance.empty()) importance = factor.importance();
        if constexpr (rounds_in_columns<F>) {
            feedback_rows<F> encode(factor);
            for (std::size_t r = 0; r < weights.size() / columns; r += rows_at_once) {
                const std::size_t count = std::min(rows_at_once, weights.size() / columns - r);
                encode(weights.subspan(r * columns, count * columns), importance, refits,
                       out.subspan(r * row_blocks, count * row_blocks));
            }
        } else {
            for (std::size_t r = 0; r < weights.size() / columns; ++r)
                weighted{}(format, weights.subspan(r * columns, columns), importance,
                           out.subspan(r * row_blocks, row_blocks));
        }
    }
};

}  // namespace tessera
