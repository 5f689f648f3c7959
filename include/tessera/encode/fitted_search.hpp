// Importance-weighted choice of scales for hand-written formats, whose scales are opaque here.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <limits>
#include <span>

#include "tessera/encode/lattice_search.hpp"
#include "tessera/encode/scale_search.hpp"
#include "tessera/format/concepts.hpp"

namespace tessera {

/// A two-stage format that is built neither from scaling and codebook nor from codewords.
template <class F>
concept fitted_format = two_stage_format<F> && !scaled_format<F> && !rounds_to_lattice<F>;

/// Encodes blocks of F so that  sum w (x - decoded)^2  is small, by nothing but what a two-stage format offers.
///
/// F::fit gives scales for the block made smaller or larger by so many per cent; the block itself is rounded under
/// each. The scales of least error are improved by the factor that least squares finds for their codes.
template <fitted_format F>
class fitted_search {
    static constexpr std::size_t size = F::block_size;
    using scales_type = typename F::scales;

public:
    /// Searches for the scales and codes of the weights x. `importance` is empty when all are alike; what is no
    /// positive number in it counts as 0, and a block without any importance as evenly important.
    void operator()(std::span<const float, size> x, std::span<const float> importance) {
        load(x, importance);
        search();
    }

    /// The same, beginning with scales that are near.
    void improve(std::span<const float, size> x, std::span<const float> importance, const scales_type& near) {
        load(x, importance);
        (void)try_scales(near);
        search();
    }

    [[nodiscard]] const scales_type& scales() const noexcept { return scales_; }
    [[nodiscard]] const typename F::code_array& codes() const noexcept { return codes_; }
    /// The error of what was found, weighted by importances whose largest is 1; infinite where a weight is NaN.
    [[nodiscard]] double error() const noexcept { return least_; }
    /// The error of other values for the same weights.
    [[nodiscard]] double error_of(std::span<const float, size> values) const noexcept {
        double sum = 0;
        for (std::size_t i = 0; i < size; ++i)
            sum += double{w_[i]} * (double{x_[i]} - double{values[i]}) * (double{x_[i]} - double{values[i]});
        return sum;
    }

private:
    void load(std::span<const float, size> x, std::span<const float> importance) {
        std::copy(x.begin(), x.end(), x_.begin());
        w_.fill(1.0f);
        float largest = 0.0f;
        for (const float w : importance)
            if (std::isfinite(w)) largest = std::max(largest, w);
        if (largest > 0.0f)
            for (std::size_t i = 0; i < size; ++i)
                w_[i] = importance[i] > 0.0f && std::isfinite(importance[i]) ? importance[i] / largest : 0.0f;
        least_ = std::numeric_limits<double>::infinity();
        scales_ = F::fit(x, w_);
        (void)try_scales(scales_);
    }

    void search() {
        const auto is_safe = [](float value) { return std::fabs(value) < 0x1p60f; };
        if (least_ == 0 || !std::ranges::all_of(x_, is_safe)) return;
        double best = 1;
        for (const double factor : {0.97, 0.94, 0.9, 0.85, 0.78, 0.7, 1.03, 1.07, 1.12})
            if (try_factor(factor)) best = factor;
        for (int i = 0; i < 2; ++i) {
            const double better = best * least_squares();
            if (better > 0 && std::isfinite(better) && try_factor(better)) best = better;
        }
    }

    [[nodiscard]] bool try_factor(double factor) {
        std::array<float, size> moved;
        for (std::size_t i = 0; i < size; ++i) moved[i] = static_cast<float>(factor * double{x_[i]});
        return try_scales(F::fit(moved, w_));
    }

    // Rounds all weights; true, and everything is kept, where that is the least error so far.
    [[nodiscard]] bool try_scales(const scales_type& s) {
        typename F::code_array codes{};
        std::array<float, size> values;
        for (std::size_t i = 0; i < size; i += F::group)
            if constexpr (F::group == 1) {
                codes[i] = F::round(s, i, x_[i]);
                values[i] = F::value(s, i, codes[i]);
            } else {
                const auto group_of = [i](const std::array<float, size>& all) {
                    return std::span<const float, F::group>(all.data() + i, F::group);
                };
                codes[i / F::group] = F::round(s, i, group_of(x_), group_of(w_));
                const std::array<float, F::group> value = F::value(s, i, codes[i / F::group]);
                std::copy(value.begin(), value.end(), values.begin() + static_cast<std::ptrdiff_t>(i));
            }
        const double error = error_of(values);
        const bool is_first = least_ == std::numeric_limits<double>::infinity();
        if (!(error < least_) && !is_first) return false;
        if (error < least_) least_ = error;
        scales_ = s;
        codes_ = codes;
        values_ = values;
        return true;
    }

    // The factor that brings the values found nearest to the weights.
    [[nodiscard]] double least_squares() const noexcept {
        double xv = 0, vv = 0;
        for (std::size_t i = 0; i < size; ++i) {
            xv += double{w_[i]} * double{x_[i]} * double{values_[i]};
            vv += double{w_[i]} * double{values_[i]} * double{values_[i]};
        }
        return xv / vv;
    }

    std::array<float, size> x_, w_, values_{};
    scales_type scales_{};
    typename F::code_array codes_{};
    double least_ = 0;
};

}  // namespace tessera
