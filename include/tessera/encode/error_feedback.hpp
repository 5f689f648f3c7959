// Error feedback (GPTQ, LDLQ): the rounding error of each column is compensated by the columns rounded after it.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <string_view>

#include "tessera/config.hpp"
#include "tessera/core/stop.hpp"
#include "tessera/core/view.hpp"
#include "tessera/encode/column_rounding.hpp"
#include "tessera/encode/encoders.hpp"
#include "tessera/encode/gram_factor.hpp"
#include "tessera/encode/knowledge.hpp"
#include "tessera/encode/scale_fit.hpp"
#include "tessera/format/concepts.hpp"
#include "tessera/format/registry.hpp"
#include "tessera/kernels/product.hpp"
#include "tessera/kernels/weighted_sum.hpp"

namespace tessera {

/// A format whose blocks divide a span of the factor's columns, and whose groups divide the factor's largest group.
template <class F>
concept fits_spans =
    rounds_in_columns<F> && gram_factor::span % F::block_size == 0 && gram_factor::largest_group % F::group == 0;

/// Encodes some rows with error feedback; reusable for any number of them.
///
/// Minimises  e H e'  for every row's error e, with H as the factor has it, span by span in the factor's order. What
/// the errors of the spans before move a span's weights by is one matrix product. Then the importance-weighted search
/// fits its scales, and its columns are rounded in turn, each (or each eight of a lattice) to what is nearest once the
/// errors of those before it are added. Refits adapt the scales to what was really rounded. Rows lie across SIMD lanes.
template <fits_spans F>
class feedback_rows {
    using block = typename F::block;
    static constexpr std::size_t group = F::group;
    static constexpr std::size_t span_columns = gram_factor::span;

public:
    static constexpr std::size_t rows = 64;  ///< encoded at once; fewer cost as much

    explicit feedback_rows(const gram_factor& factor) : factor_(factor), errors_(rows, factor.columns()) {
        TESSERA_ASSERT(factor.columns() % F::block_size == 0, "a row holds whole blocks");
        is_best_.fill(true);
    }

    /// Encodes at most `rows` rows. After a span's first pass its scales are fitted `refits` times to what was really
    /// rounded, each column weighted by what its errors cost by then, and it is rounded again; a row keeps the best.
    void operator()(std::span<const float> weights, std::span<const float> importance, int refits,
                    std::span<block> out) {
        const std::size_t columns = factor_.columns(), count = weights.size() / columns;
        for (const gram_span& s : factor_.spans()) {
            stop_if_requested();
            take(s, weights, count);
            const std::size_t first_block = s.first_column / F::block_size, blocks = s.columns / F::block_size;
            for (int pass = 0; pass <= refits; ++pass) {
                for (std::size_t r = 0; r < count; r += fitted_rows) fit(s, r, pass, importance);
                round(s);
                for (std::size_t r = 0; r < count; ++r) {
                    is_best_[r] = pass == 0 || cost_[r] < least_[r];
                    if (!is_best_[r]) continue;
                    least_[r] = cost_[r];
                    rounding_.store(r, out.subspan(r * columns / F::block_size + first_block, blocks));
                }
                keep(s);
            }
        }
    }

private:
    using batch = kernels::float_batch<kernels::default_arch>;
    struct alignas(64) lanes : std::array<float, rows> {
        [[nodiscard]] batch at(std::size_t r) const noexcept { return batch::load_aligned(this->data() + r); }
        void set(std::size_t r, batch values) noexcept { values.store_aligned(this->data() + r); }
    };
    using lanes_by_step = std::array<lanes, span_columns>;  // of a span's steps
    using packed_errors = kernels::packed_right<>;
    static constexpr std::size_t fitted_rows =
        std::max<std::size_t>(1, scale_fit<F>::blocks* F::block_size / span_columns);

    // Takes the weights of a span, and moves them by the errors of the spans before.
    void take(const gram_span& s, std::span<const float> weights, std::size_t count) {
        for (std::size_t t = 0; t < s.columns; ++t) {
            weights_[t].fill(0.0f);
            for (std::size_t r = 0; r < count; ++r)
                weights_[t][r] = weights[r * factor_.columns() + factor_.order()[s.first_step + t]];
        }
        rounding_.start(s.columns);
        std::copy_n(weights_.begin(), s.columns, targets_.begin());
        kernels::add_product(s.before, 0, s.columns, errors_, 0, rows, targets_[0].data(), rows);
    }

    // Fits the scales of as many rows, from `row` on, as the search takes at once.
    void fit(const gram_span& s, std::size_t row, int pass, std::span<const float> importance) {
        const lanes_by_step& from = pass == 0 ? targets_ : aims_;
        for (std::size_t t = 0; t < s.columns; ++t) {
            const std::size_t step = s.first_step + t, column = factor_.order()[step];
            const float weight = pass == 0 ? importance[column] : factor_.pivots()[step];
            for (std::size_t r = 0; r < fitted_rows; ++r) {
                fitted_[r * s.columns + column - s.first_column] = from[t][row + r];
                fitted_importance_[r * s.columns + column - s.first_column] = weight;
            }
        }
        const std::size_t size = fitted_rows * s.columns;
        const std::span<const float> x(fitted_.data(), size), w(fitted_importance_.data(), size);
        const std::span<typename F::scales> scales = rounding_.scales(row, fitted_rows);
        if (pass == 0)
            fit_.search(x, w, scales);
        else
            fit_.improve(x, w, scales);
    }

    // Rounds all columns of a span: aims_, tried_ and cost_ follow.
    void round(const gram_span& s) {
        rounding_.take_scales();
        cost_.fill(0.0f);
        for (std::size_t t = 0; t < s.columns; t += group) round_group(s, t);
    }

    void round_group(const gram_span& s, std::size_t first) {
        const float* const pivots = factor_.pivots().data() + s.first_step;
        const auto u = [&](std::size_t a, std::size_t b) {
            return s.within(static_cast<Eigen::Index>(a), static_cast<Eigen::Index>(b));
        };
        std::array<float, group> importance{};
        for (std::size_t t = first; t < first + group; ++t) {
            aims_[t] = targets_[t];
            add_errors(s, 0, first, t, aims_[t]);
            for (std::size_t k = t; k < first + group; ++k) importance[t - first] += u(t, k) * u(t, k) * pivots[k];
        }
        rounding_.round(factor_.order()[s.first_step + first] - s.first_column, aims_[first].data(), importance,
                        values_[0].data());
        for (std::size_t t = first; t < first + group; ++t) {
            const lanes& value = values_[t - first];
            lanes aim = aims_[t];
            add_errors(s, first, t, t, aim);  // the group's own
            for (std::size_t r = 0; r < rows; r += kernels::lanes<kernels::default_arch>) {
                const batch rounded = value.at(r), left = aim.at(r) - rounded;
                tried_[t].set(r, weights_[t].at(r) - rounded);
                cost_.set(r, xsimd::fma(left * left, batch(pivots[t]), cost_.at(r)));
            }
        }
    }

    // Adds to `aim`, of step t, what the errors of steps [first, last) move it by.
    void add_errors(const gram_span& s, std::size_t first, std::size_t last, std::size_t t, lanes& aim) const {
        kernels::add_weighted_sum<rows>(s.within.col(static_cast<Eigen::Index>(t)).data() + first, tried_[first].data(),
                                        last - first, aim.data());
    }

    // The errors of rows that are best so far go to where later spans find them.
    void keep(const gram_span& s) {
        for (std::size_t first = 0; first < rows; first += packed_errors::width) {
            float* to = errors_.panel(first) + s.first_step * packed_errors::width;
            for (std::size_t t = 0; t < s.columns; ++t, to += packed_errors::width)
                for (std::size_t r = 0; r < packed_errors::width; ++r)
                    to[r] = is_best_[first + r] ? tried_[t][first + r] : to[r];
        }
    }

    const gram_factor& factor_;
    packed_errors errors_;  // of all spans done, by step
    lanes_by_step weights_, targets_, aims_, tried_;
    std::array<lanes, group> values_;
    lanes cost_, least_;
    std::array<bool, rows> is_best_;
    std::array<float, fitted_rows * span_columns> fitted_, fitted_importance_;  // of rows, in the order of columns
    scale_fit<F> fit_;
    column_rounding<F, rows> rounding_{span_columns};
};

/// Error feedback: scales as `weighted` finds them for weights that compensate the errors rounded before, and codes
/// rounded in turn. Formats without two stages, or whose blocks do not fill spans (fits_spans), are encoded as by
/// `weighted`.
struct error_feedback {
    int refits = 1;  ///< times that a span's scales are fitted again and its columns rounded again

    static constexpr std::string_view name = "feedback";
    static constexpr encoder_needs needs{.factor = true};
    static constexpr std::size_t rows_at_once = 64;  ///< that feedback_rows takes

    template <block_format F>
    void operator()(format_tag<F>, matrix_view rows, const matrix_knowledge& known,
                    std::span<typename F::block> out) const {
        TESSERA_ASSERT(known.factor != nullptr && rows.columns() == known.factor->columns(),
                       "error feedback needs the factor of the matrix's inputs");
        if constexpr (fits_spans<F>) {
            const auto importance = known.importance.empty() ? known.factor->importance() : known.importance;
            (*std::make_unique<feedback_rows<F>>(*known.factor))(rows.values(), importance, refits, out);
        } else {
            encode_rows<F>(weighted{}, rows, known, out);
        }
    }
};

#ifdef TESSERA_COMPILED  // see compiled/
template <>
inline constexpr bool detail::is_compiled<error_feedback> = true;
extern template void detail::encode_rows_of<builtin_formats>(type_id, const error_feedback&, matrix_view,
                                                             const matrix_knowledge&, std::span<std::byte>);
#endif

}  // namespace tessera
