// Importance-weighted choice of a block's scales, with SIMD lanes across sub-blocks.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <limits>
#include <span>

#include "tessera/format/concepts.hpp"
#include "tessera/format/scaling.hpp"
#include "tessera/kernels/residual_moments.hpp"
#include "tessera/kernels/simd.hpp"

namespace tessera {

/// A two-stage format whose scales have the form of block_scales: what scale_search can work on.
template <class F>
concept scaled_format = two_stage_format<F> && requires {
    typename F::scaling;
    typename F::codebook;
    { F::sub_block_size } -> std::convertible_to<std::size_t>;
};

/// Searches scales (and minimums) that minimise  sum w (x - decoded)^2  over blocks of F.
///
/// First every sub-block by itself, unquantized: a grid of scales, each improved in closed form for the codes it leads
/// to (least squares), the best one improved again until its codes settle. Then the block: its sub-scales become
/// integers, are varied by one against the true error, and the block's halves are solved again for the codes chosen.
/// A SIMD lane works on one sub-block; a pass takes as many blocks as fill a register, or one block in several tiles.
template <scaled_format F, class Arch = kernels::default_arch>
class scale_search {
    using batch = kernels::float_batch<Arch>;
    using mask = typename batch::batch_bool_type;
    using scaling = typename F::scaling;
    using codebook = typename F::codebook;
    using moments = kernels::residual_moments<batch>;

    static constexpr std::size_t lanes = kernels::lanes<Arch>;
    static constexpr std::size_t sub_blocks = scaling::sub_blocks;
    static constexpr std::size_t sub_size = F::sub_block_size;
    static constexpr bool has_min = scaling::has_min;
    static constexpr bool has_sub_scales = scaling::sub_scale_low != scaling::sub_scale_high;
    static constexpr bool scale_has_sign = !has_min && (sub_blocks == 1 || scaling::sub_scale_low < 0);

public:
    /// Blocks that one pass works on.
    static constexpr std::size_t blocks = std::max<std::size_t>(1, lanes / sub_blocks);
    static_assert(blocks * sub_blocks % lanes == 0, "sub-blocks and lanes are powers of two");

    /// Scales for `out.size()` blocks, at most `blocks`. `x` and `importance` hold out.size() * F::block_size values;
    /// importances are not negative. A sub-block without any importance is treated as evenly important.
    void operator()(std::span<const float> x, std::span<const float> importance, std::span<typename F::scales> out) {
        load(x, importance);
        for (std::size_t t = 0; t < tiles; ++t) search_sub_blocks(t);
        for (std::size_t b = 0; b < out.size(); ++b)
            best_[b] = current_[b] = F::quantize_scales(scales_of(scale_, b), scales_of(min_, b));
        best_error_.fill(std::numeric_limits<float>::infinity());
        for (int round = 0; round < (has_sub_scales ? 3 : 1); ++round) {
            if constexpr (has_sub_scales) vary_sub_scales(out.size());
            solve_blocks(out.size());
        }
        sum_errors(out.size());  // of the last solution
        std::copy_n(best_.begin(), out.size(), out.begin());
    }

private:
    static constexpr std::size_t tiles = blocks * sub_blocks / lanes;
    static constexpr std::size_t units = blocks * sub_blocks;

    using unit_array = std::array<float, units>;

    [[nodiscard]] static auto scales_of(const unit_array& values, std::size_t block) noexcept {
        return std::span<const float, sub_blocks>(values.data() + block * sub_blocks, sub_blocks);
    }
    [[nodiscard]] static batch load_tile(const unit_array& values, std::size_t t) noexcept {
        return batch::load_aligned(values.data() + t * lanes);
    }
    static void store_tile(batch value, unit_array& values, std::size_t t) noexcept {
        value.store_aligned(values.data() + t * lanes);
    }

    // Transposes: weight i of sub-block (unit) u goes to lane u % lanes of row i of tile u / lanes.
    void load(std::span<const float> x, std::span<const float> importance) noexcept {
        x_.fill(0.0f);
        w_.fill(0.0f);
        weight_.fill(1.0f);
        for (std::size_t u = 0; u < x.size() / sub_size; ++u) {
            float* to = x_.data() + (u / lanes) * sub_size * lanes + u % lanes;
            float* weight_to = w_.data() + (u / lanes) * sub_size * lanes + u % lanes;
            float sum = 0.0f;
            for (std::size_t i = 0; i < sub_size; ++i) sum += importance[u * sub_size + i];
            const bool even = !(sum > 0.0f);
            for (std::size_t i = 0; i < sub_size; ++i) {
                to[i * lanes] = x[u * sub_size + i];
                weight_to[i * lanes] = even ? 1.0f : importance[u * sub_size + i];
            }
            weight_[u] = even ? static_cast<float>(sub_size) : sum;
        }
    }

    [[nodiscard]] moments sum(std::size_t t, batch scale, batch min) const noexcept {
        const batch inverse = batch(1.0f) / scale;
        const mask usable = (inverse - inverse) == batch(0.0f);  // neither infinite nor NaN
        return kernels::sum_residuals<codebook, has_min, Arch>(x_.data() + t * sub_size * lanes,
                                                               w_.data() + t * sub_size * lanes, sub_size, scale,
                                                               xsimd::select(usable, inverse, batch(0.0f)), min);
    }

    struct solution {
        batch scale, min, error;
    };

    // The best scale and minimum for the codes that (scale, min) led to, and the error they reach with those codes.
    // Lanes that cannot be solved come out as NaN, which no comparison accepts.
    [[nodiscard]] static solution solve(const moments& sums, batch weight, batch scale, batch min) noexcept {
        const batch zero(0.0f);
        if constexpr (!has_min) {
            const batch step = sums.rq / sums.qq;
            return {scale + step, zero, sums.rr - step * sums.rq};
        } else {
            const batch determinant = sums.qq * weight - sums.q * sums.q;
            const batch scale_step = (sums.rq * weight - sums.q * sums.r) / determinant;
            const batch min_step = (sums.q * sums.rq - sums.qq * sums.r) / determinant;
            // A minimum cannot be negative: where it would be, the best scale without one.
            const batch rr = sums.rr - batch(2.0f) * min * sums.r + min * min * weight;
            const batch rq = sums.rq - min * sums.q;
            const batch lone_step = rq / sums.qq;
            const mask cut = (min + min_step) < zero;
            return {scale + xsimd::select(cut, lone_step, scale_step), xsimd::select(cut, zero, min + min_step),
                    xsimd::select(cut, rr - lone_step * rq, sums.rr - scale_step * sums.rq + min_step * sums.r)};
        }
    }

    void try_scale(std::size_t t, batch scale, batch min, solution& best) const noexcept {
        const solution found = solve(sum(t, scale, min), load_tile(weight_, t), scale, min);
        const mask better = found.error < best.error;
        best.scale = xsimd::select(better, found.scale, best.scale);
        best.min = xsimd::select(better, found.min, best.min);
        best.error = xsimd::select(better, found.error, best.error);
    }

    // How far beyond the levels the extreme weight may be scaled; 1 maps it to the outermost level. Above 1 it is cut
    // for the sake of the others.
    static constexpr std::array grid{0.90f, 0.93f, 0.96f, 0.98f, 1.00f, 1.02f, 1.04f, 1.07f, 1.10f,
                                     1.14f, 1.18f, 1.23f, 1.30f, 1.40f, 1.55f, 1.75f, 2.00f, 2.40f};

    void search_sub_blocks(std::size_t t) noexcept {
        const float* x = x_.data() + t * sub_size * lanes;
        batch lowest(0.0f), highest(0.0f);
        for (std::size_t i = 0; i < sub_size; ++i) {
            const batch value = batch::load_aligned(x + i * lanes);
            lowest = xsimd::min(lowest, value);
            highest = xsimd::max(highest, value);
        }
        solution best{batch(0.0f), batch(0.0f), batch(std::numeric_limits<float>::infinity())};
        if constexpr (has_min) {
            const batch min = -lowest;
            const batch full = (highest + min) / batch(codebook::high - codebook::low);
            best.scale = full;
            best.min = min;
            for (const float stretch : grid) try_scale(t, full / batch(stretch), min, best);
            // The same with the low end cut instead of the high one: the weights below the minimum take the lowest
            // level.
            for (const float keep : {0.9f, 0.8f, 0.65f})
                try_scale(t, (highest + min * batch(keep)) / batch(codebook::high - codebook::low), min * batch(keep),
                          best);
        } else {
            const mask low_is_extreme = -lowest > highest;
            const batch extreme = xsimd::select(low_is_extreme, lowest, highest);
            constexpr float widest = -codebook::low > codebook::high ? codebook::low : codebook::high;
            const batch full =
                scale_has_sign ? extreme / batch(widest) : xsimd::abs(extreme) / batch(std::fabs(widest));
            best.scale = full;
            for (const float stretch : grid) try_scale(t, full / batch(stretch), batch(0.0f), best);
            if constexpr (scale_has_sign && -codebook::low != codebook::high)
                for (const float stretch : grid) try_scale(t, -full / batch(stretch), batch(0.0f), best);
        }
        for (int i = 0; i < 3; ++i) try_scale(t, best.scale, best.min, best);
        store_tile(best.scale, scale_, t);
        store_tile(best.min, min_, t);
    }

    // Writes scale and minimum of every unit, from the integers of `current_` plus the given steps, cut to their
    // ranges.
    void spread(std::size_t count, int scale_step, int min_step) noexcept {
        for (std::size_t b = 0; b < count; ++b) {
            typename F::scales& s = current_[b];
            for (std::size_t g = 0; g < sub_blocks; ++g) {
                const std::size_t u = b * sub_blocks + g;
                sub_scale_[u] = static_cast<float>(
                    std::clamp(s.sub_scale[g] + scale_step, scaling::sub_scale_low, scaling::sub_scale_high));
                scale_[u] = static_cast<float>(s.super_scale) * sub_scale_[u];
                if constexpr (has_min) {
                    sub_min_[u] = static_cast<float>(std::clamp(s.sub_min[g] + min_step, 0, scaling::sub_min_high));
                    min_[u] = static_cast<float>(s.super_min) * sub_min_[u];
                } else {
                    min_[u] = 0.0f;
                }
            }
        }
    }

    // Moves every sub-scale and sub-minimum to the neighbour of least true error.
    void vary_sub_scales(std::size_t count) noexcept {
        unit_array best_error;
        best_error.fill(std::numeric_limits<float>::infinity());
        unit_array chosen_scale{}, chosen_min{};
        constexpr int reach = has_min ? 1 : 0;
        for (int scale_step = -1; scale_step <= 1; ++scale_step)
            for (int min_step = -reach; min_step <= reach; ++min_step) {
                spread(count, scale_step, min_step);
                for (std::size_t t = 0; t < tiles; ++t)
                    store_tile(sum(t, load_tile(scale_, t), load_tile(min_, t)).rr, error_, t);
                for (std::size_t u = 0; u < count * sub_blocks; ++u)
                    if (error_[u] < best_error[u]) {
                        best_error[u] = error_[u];
                        chosen_scale[u] = sub_scale_[u];
                        chosen_min[u] = sub_min_[u];
                    }
            }
        for (std::size_t u = 0; u < count * sub_blocks; ++u) {
            if (!(best_error[u] < std::numeric_limits<float>::infinity())) continue;
            typename F::scales& s = current_[u / sub_blocks];
            s.sub_scale[u % sub_blocks] = static_cast<std::int8_t>(chosen_scale[u]);
            if constexpr (has_min) s.sub_min[u % sub_blocks] = static_cast<std::uint8_t>(chosen_min[u]);
        }
    }

    // The error of `current_`, sub-block by sub-block; keeps it where it is the block's best so far.
    void sum_errors(std::size_t count) noexcept {
        spread(count, 0, 0);
        for (std::size_t t = 0; t < tiles; ++t) {
            const moments sums = sum(t, load_tile(scale_, t), load_tile(min_, t));
            store_tile(sums.rr, error_, t);
            store_tile(sums.rq, rq_, t);
            store_tile(sums.qq, qq_, t);
            store_tile(sums.r, r_, t);
            store_tile(sums.q, q_, t);
        }
        for (std::size_t b = 0; b < count; ++b) {
            float error = 0.0f;
            for (std::size_t g = 0; g < sub_blocks; ++g) error += error_[b * sub_blocks + g];
            if (best_error_[b] <= error) continue;
            best_[b] = current_[b];
            best_error_[b] = error;
        }
    }

    // Solves the block's halves by least squares for the codes and integers of `current_`.
    void solve_blocks(std::size_t count) noexcept {
        sum_errors(count);
        for (std::size_t b = 0; b < count; ++b) {
            // Unknowns: steps of the block's scale and minimum. Normal equations (a c; c e)(scale, min) = (f, h).
            double a = 0, c = 0, e = 0, f = 0, h = 0;
            for (std::size_t u = b * sub_blocks; u < (b + 1) * sub_blocks; ++u) {
                const double scale = sub_scale_[u];
                a += scale * scale * double{qq_[u]};
                f += scale * double{rq_[u]};
                if constexpr (has_min) {
                    const double min = sub_min_[u];
                    c -= scale * min * double{q_[u]};
                    e += min * min * double{weight_[u]};
                    h -= min * double{r_[u]};
                }
            }
            typename F::scales& s = current_[b];
            const double determinant = a * e - c * c;
            double scale_step = f / a;
            if (has_min && determinant > 1e-6 * a * e) {
                scale_step = (f * e - c * h) / determinant;
                const double min = double{static_cast<float>(s.super_min)} + (a * h - c * f) / determinant;
                if (min >= 0) s.super_min = finite_half(static_cast<float>(min));
            }
            const double scale = double{static_cast<float>(s.super_scale)} + scale_step;
            if (std::isfinite(scale)) s.super_scale = finite_half(static_cast<float>(scale));
        }
    }

    static constexpr std::size_t alignment = kernels::simd_alignment<Arch>;
    alignas(alignment) std::array<float, units * sub_size> x_, w_;
    alignas(alignment) unit_array weight_, scale_, min_, sub_scale_, sub_min_{}, error_, rq_, qq_, r_, q_;
    std::array<typename F::scales, blocks> current_, best_;
    std::array<float, blocks> best_error_;
};

}  // namespace tessera
