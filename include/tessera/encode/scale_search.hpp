// Importance-weighted choice of a block's scales, with SIMD lanes across sub-blocks.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <limits>
#include <numeric>
#include <span>

#include "tessera/encode/sub_block_tiles.hpp"
#include "tessera/format/concepts.hpp"
#include "tessera/format/parts.hpp"
#include "tessera/format/scaling.hpp"
#include "tessera/kernels/residual_moments.hpp"
#include "tessera/kernels/simd.hpp"

namespace tessera {

/// A two-stage format built from scaling and codebook: what scale_search can work on.
template <class F>
concept scaled_format =
    two_stage_format<F> && scaling_for<typename F::scaling, typename F::block> &&
    scalar_codebook<typename F::codebook> && std::convertible_to<decltype(F::sub_block_size), std::size_t>;

/// Searches scales (and minimums) that minimise  sum w (x - decoded)^2  over blocks of F.
///
/// First every sub-block by itself, unquantized: a grid of scales, each improved in closed form for the codes it leads
/// to (least squares), the best one improved again. Then the block. With scales in two levels: for a range of block
/// scales every sub-block takes the integers of least error, read off the quadratic form of its codes; the best range
/// is solved again for the codes chosen. With independent scales: coarse types try the neighbours of the nearest value.
/// A SIMD lane works on one sub-block; a pass takes as many blocks as fill a register, or one block in several tiles.
template <scaled_format F, class Arch = kernels::default_arch>
class scale_search {
    using batch = kernels::float_batch<Arch>;
    using mask = typename batch::batch_bool_type;
    using scaling = typename F::scaling;
    using scales = typename F::scales;
    using codebook = typename F::codebook;
    using moments = kernels::residual_moments<batch>;

    using tiling = sub_block_tiles<F, Arch>;
    using slot_array = typename tiling::slot_array;

    static constexpr std::size_t sub_blocks = tiling::sub_blocks;
    static constexpr std::size_t sub_size = tiling::sub_size;
    static constexpr std::size_t tiles = tiling::tiles;
    static constexpr std::size_t slots = tiling::blocks * tiling::sub_blocks;  ///< that belong to a block
    static constexpr bool has_min = scaling::has_min;

public:
    /// Blocks that one pass works on.
    static constexpr std::size_t blocks = tiling::blocks;

    /// Scales for x.size() / F::block_size blocks, at most `blocks`; those after them are left unspecified. There are
    /// as many importances as weights, or none. Importances that are no positive number count as 0, and weights of
    /// importance 0 as 0, which every format comes close to; a sub-block without any importance is treated as evenly
    /// important. Blocks whose squares would overflow or vanish, or that hold NaN, get the scales of the plain
    /// reference.
    void operator()(std::span<const float> x, std::span<const float> importance, std::array<scales, blocks>& out) {
        tiles_.load(x, importance);
        for (std::size_t t = 0; t < tiles; ++t) search_sub_blocks(t);
        settle(out);
    }

    /// The same, but beginning with the scales in `out`, which are near, instead of a grid: for a third of the work.
    void improve(std::span<const float> x, std::span<const float> importance, std::array<scales, blocks>& out) {
        tiles_.load(x, importance);
        fill(scale_, [&](std::size_t b, std::size_t g) { return out[b].scale(g); });
        fill(min_, [&](std::size_t b, std::size_t g) { return out[b].min(g); });
        for (std::size_t t = 0; t < tiles; ++t) {
            solution best{scale_.tile(t), min_.tile(t), batch(std::numeric_limits<float>::infinity())};
            for (int i = 0; i < 2; ++i) try_scale(t, best.scale, best.min, best);
            scale_.set_tile(t, best.scale);
            min_.set_tile(t, best.min);
        }
        settle(out);
    }

private:
    void settle(std::array<scales, blocks>& out) {
        if constexpr (scaling::has_sub_scales)
            settle_two_levels(out);
        else
            settle_independent(out);
        for (std::size_t b = 0; b < blocks; ++b)
            if (!tiles_.squares_are_safe(b)) out[b] = F::nearest_scales(tiles_.block(b));
    }

    [[nodiscard]] moments sum(std::size_t t, batch scale, batch min) const noexcept {
        const batch inverse = batch(1.0f) / scale;
        const mask usable = (inverse - inverse) == batch(0.0f);  // neither infinite nor NaN
        return kernels::sum_residuals<codebook, has_min, Arch>(tiles_.x(t), tiles_.w(t), sub_size, scale,
                                                               xsimd::select(usable, inverse, batch(0.0f)), min);
    }

    struct solution {
        batch scale, min, error;
    };

    // The best scale and minimum for the codes that (scale, min) led to, and the error they reach with those codes; the
    // same scale and minimum where the codes do not determine better ones.
    [[nodiscard]] static solution solve(const moments& sums, batch weight, batch scale, batch min) noexcept {
        const batch zero(0.0f);
        if constexpr (!has_min) {
            const batch step = xsimd::select(sums.qq > zero, sums.rq / sums.qq, zero);
            return {scale + step, zero, sums.rr - step * sums.rq};
        } else {
            const batch determinant = sums.qq * weight - sums.q * sums.q;
            const mask regular = determinant > batch(1e-6f) * sums.qq * weight;
            const batch inverse = batch(1.0f) / determinant;
            const batch scale_step = xsimd::select(regular, (sums.rq * weight - sums.q * sums.r) * inverse, zero);
            const batch min_step = xsimd::select(regular, (sums.q * sums.rq - sums.qq * sums.r) * inverse, zero);
            const solution both{scale + scale_step, min + min_step, sums.rr - scale_step * sums.rq + min_step * sums.r};
            if constexpr (scaling::min_has_sign) return both;
            // A minimum cannot be negative: where it would be, the best scale without one.
            const batch rr = sums.rr - batch(2.0f) * min * sums.r + min * min * weight;
            const batch rq = sums.rq - min * sums.q;
            const batch scale_without = xsimd::select(sums.qq > zero, rq / sums.qq, zero);
            const mask cut = both.min < zero;
            return {xsimd::select(cut, scale + scale_without, both.scale), xsimd::select(cut, zero, both.min),
                    xsimd::select(cut, rr - scale_without * rq, both.error)};
        }
    }

    void try_scale(std::size_t t, batch scale, batch min, solution& best) const noexcept {
        const solution found = solve(sum(t, scale, min), tiles_.weight().tile(t), scale, min);
        const mask better = found.error < best.error;
        best.scale = xsimd::select(better, found.scale, best.scale);
        best.min = xsimd::select(better, found.min, best.min);
        best.error = xsimd::select(better, found.error, best.error);
    }

    // How far the extreme weight is scaled beyond the outermost level, in steps between levels: below 0 the range is
    // not used up, above 0 the extreme is cut for the sake of the others.
    static constexpr float range = codebook::high - codebook::low;
    static constexpr float step = range / codebook::steps;
    static constexpr auto grid = [] {
        if constexpr (codebook::steps < 8)
            return std::array{-0.4f, -0.1f, 0.2f, 0.5f, 0.8f, 1.2f, 1.7f, 2.4f, 3.4f};
        else if constexpr (codebook::steps < 63)
            return std::array{-1.2f, -0.8f, -0.4f, 0.0f, 0.4f, 0.8f, 1.4f, 2.2f, 3.4f};
        else
            return std::array{-8.0f, -5.0f, -3.0f, -1.5f, -0.5f, 0.5f, 1.5f, 3.0f, 5.0f, 8.0f, 12.0f, 20.0f};
    }();

    void search_sub_blocks(std::size_t t) noexcept {
        const float* x = tiles_.x(t);
        batch lowest = batch::load_aligned(x), highest = lowest;
        for (std::size_t i = 1; i < sub_size; ++i) {
            const batch value = batch::load_aligned(x + i * tiling::lanes);
            lowest = xsimd::min(lowest, value);
            highest = xsimd::max(highest, value);
        }
        const batch zero(0.0f);
        solution best{zero, zero, sum(t, zero, zero).rr};
        if constexpr (has_min) {
            if constexpr (!scaling::min_has_sign) {
                lowest = xsimd::min(lowest, zero);
                highest = xsimd::max(highest, zero);
            }
            const batch width = highest - lowest;
            for (const float beyond : grid) {
                const batch scale = width / batch(range + beyond * step);
                // The lowest weight stays at the lowest level, or both ends are cut alike.
                try_scale(t, scale, scale * batch(codebook::low) - lowest, best);
                if (beyond > 0.4f) try_scale(t, scale, scale * batch(codebook::low - beyond * step / 2) - lowest, best);
            }
        } else {
            constexpr bool low_is_widest = -codebook::low > codebook::high;
            constexpr float widest = low_is_widest ? -codebook::low : codebook::high;
            constexpr float narrowest = low_is_widest ? codebook::high : -codebook::low;
            const batch extreme = xsimd::max(highest, -lowest);
            // The extreme takes the widest level, so the scale carries its sign where it can.
            batch sign(1.0f);
            if constexpr (scaling::scale_has_sign && widest != narrowest)
                sign = xsimd::select((low_is_widest ? -lowest >= highest : -lowest <= highest), sign, -sign);
            for (const float beyond : grid) {
                const batch scale = extreme / batch(widest + beyond * step);
                try_scale(t, sign * scale, zero, best);
                if constexpr (scaling::scale_has_sign && widest != narrowest && codebook::steps < 63)
                    try_scale(t, -sign * scale, zero, best);
            }
        }
        for (int i = 0; i < 2; ++i) try_scale(t, best.scale, best.min, best);
        scale_.set_tile(t, best.scale);
        min_.set_tile(t, best.min);
    }

    // --- independent scales ---

    void settle_independent(std::array<scales, blocks>& out) noexcept {
        for (std::size_t b = 0; b < blocks; ++b) out[b] = scaling::quantize(scale_.of_block(b), min_.of_block(b));
        if constexpr (!has_min && requires(scales& s) { s.stored[0].bits = scaling::scalar::highest_bits; })
            try_neighbours(out);
    }

    // A scale of a coarse type may move to the next value below or above: the error decides.
    void try_neighbours(std::array<scales, blocks>& out) noexcept {
        using scalar = typename scaling::scalar;
        std::array<scalar, slots> start{}, tried{};
        for (std::size_t u = 0; u < slots; ++u) start[u] = out[u / sub_blocks].stored[u % sub_blocks];
        slot_array least;
        least.fill(std::numeric_limits<float>::infinity());
        for (const int step : {0, -1, 1}) {
            for (std::size_t u = 0; u < slots; ++u) {
                tried[u].bits =
                    static_cast<std::uint8_t>(std::clamp<int>(start[u].bits + step, 0, scalar::highest_bits));
                scale_[u] = static_cast<float>(tried[u]);
            }
            for (std::size_t t = 0; t < tiles; ++t) error_.set_tile(t, sum(t, scale_.tile(t), batch(0.0f)).rr);
            for (std::size_t u = 0; u < slots; ++u)
                if (error_[u] < least[u]) {
                    least[u] = error_[u];
                    out[u / sub_blocks].stored[u % sub_blocks] = tried[u];
                }
        }
    }

    // --- scales in two levels ---

    void settle_two_levels(std::array<scales, blocks>& out) noexcept {
        for (std::size_t b = 0; b < blocks; ++b) {
            out[b] = current_[b] = scaling::quantize(scale_.of_block(b), min_.of_block(b));
            best_error_[b] = std::numeric_limits<float>::infinity();
        }
        sum_moments();
        search_super_scales();
        refit(out);
        fill(super_scale_, [&](std::size_t b, std::size_t) { return static_cast<float>(current_[b].super_scale); });
        fill(super_min_, [&](std::size_t b, std::size_t) { return static_cast<float>(current_[b].super_min); });
        take_integers();
        refit(out);
    }

    // Solves the block's values again for the integers of current_, rounds all weights again, keeps the best.
    void refit(std::array<scales, blocks>& out) noexcept {
        solve_super_scales();
        fill(scale_, [&](std::size_t b, std::size_t g) { return current_[b].scale(g); });
        fill(min_, [&](std::size_t b, std::size_t g) { return current_[b].min(g); });
        sum_moments();
        keep_best(out);
    }

    // Every slot gets value(block, sub-block).
    template <class Value>
    static void fill(slot_array& to, Value value) noexcept {
        for (std::size_t b = 0; b < blocks; ++b)
            for (std::size_t g = 0; g < sub_blocks; ++g) to[b * sub_blocks + g] = value(b, g);
    }

    // The moments of all slots for the codes that scale_ and min_ lead to.
    void sum_moments() noexcept {
        for (std::size_t t = 0; t < tiles; ++t) {
            const moments sums = sum(t, scale_.tile(t), min_.tile(t));
            rr_.set_tile(t, sums.rr);
            rq_.set_tile(t, sums.rq);
            qq_.set_tile(t, sums.qq);
            r_.set_tile(t, sums.r);
            q_.set_tile(t, sums.q);
        }
    }

    // For the blocks' values in super_scale_ and super_min_: the integers of least error for every slot's codes,
    // to sub_scale_ and sub_min_, and that error, to error_. With ds and dm the changes against scale_ and min_ it is
    //     rr + ds (ds qq - 2 rq - 2 dm q) + dm (2 r + dm W).
    void choose_integers(std::size_t t) noexcept {
        const batch super_scale = super_scale_.tile(t), super_min = super_min_.tile(t);
        const batch zero(0.0f), two(2.0f), low(scaling::sub_scale_low), high(scaling::sub_scale_high);
        const batch scale = scale_.tile(t), rr = rr_.tile(t), rq = rq_.tile(t), qq = qq_.tile(t);
        const auto inverse = [&](batch x) { return xsimd::select(x == zero, zero, batch(1.0f) / x); };
        const auto nearest = [&](batch x, batch from, batch to) {
            return kernels::round_to_even(xsimd::min(xsimd::max(x, from), to));
        };
        const batch start = nearest((scale + rq * inverse(qq)) * inverse(super_scale), low, high);
        if constexpr (!has_min) {
            const batch ds = start * super_scale - scale;
            sub_scale_.set_tile(t, start);
            error_.set_tile(t, rr + ds * (ds * qq - two * rq));
        } else {
            const batch min = min_.tile(t), r = r_.tile(t), q = q_.tile(t);
            const batch weight = tiles_.weight().tile(t), inverse_min = inverse(super_min);
            const batch inverse_weight = batch(1.0f) / weight;
            batch best_scale = start, best_min = zero, least(std::numeric_limits<float>::infinity());
            for (const float step : {0.0f, -1.0f, 1.0f}) {
                const batch integer = xsimd::min(xsimd::max(start + batch(step), low), high);
                const batch ds = integer * super_scale - scale;
                const batch best_dm = (ds * q - r) * inverse_weight;
                const batch min_integer =
                    nearest((min + best_dm) * inverse_min, zero, batch(static_cast<float>(scaling::sub_min_high)));
                const batch dm = min_integer * super_min - min;
                const batch error = rr + ds * (ds * qq - two * (rq + dm * q)) + dm * (two * r + dm * weight);
                const mask better = error < least;
                least = xsimd::select(better, error, least);
                best_scale = xsimd::select(better, integer, best_scale);
                best_min = xsimd::select(better, min_integer, best_min);
            }
            sub_scale_.set_tile(t, best_scale);
            sub_min_.set_tile(t, best_min);
            error_.set_tile(t, least);
        }
    }

    // The integers for super_scale_ and super_min_, to current_.
    void take_integers() noexcept {
        for (std::size_t t = 0; t < tiles; ++t) choose_integers(t);
        for (std::size_t u = 0; u < slots; ++u) {
            scales& s = current_[u / sub_blocks];
            s.sub_scale[u % sub_blocks] = static_cast<std::int8_t>(sub_scale_[u]);
            if constexpr (has_min) s.sub_min[u % sub_blocks] = static_cast<std::uint8_t>(sub_min_[u]);
        }
    }

    [[nodiscard]] static float block_sum(const slot_array& values, std::size_t b) noexcept {
        const auto of_block = values.of_block(b);
        return std::accumulate(of_block.begin(), of_block.end(), 0.0f);
    }

    // Tries block scales that give the largest sub-scale an integer at, near and beyond the end of the range; then
    // minimums likewise. The best go to super_scale_ and super_min_, the integers for them to current_.
    void search_super_scales() noexcept {
        std::array<float, blocks> scale{}, min{};
        for (std::size_t b = 0; b < blocks; ++b) {
            scale[b] = static_cast<float>(current_[b].super_scale);
            min[b] = static_cast<float>(current_[b].super_min);
        }
        const auto search = [&](int widest, std::array<float, blocks>& value, slot_array& of_slots) {
            std::array<float, blocks> least, best = value;
            least.fill(std::numeric_limits<float>::infinity());
            for (const int beyond : {0, 1, -1, -2, -3, -5, -7}) {
                const float factor = static_cast<float>(widest) / static_cast<float>(widest + beyond);
                fill(of_slots, [&](std::size_t b, std::size_t) { return value[b] * factor; });
                for (std::size_t t = 0; t < tiles; ++t) choose_integers(t);
                for (std::size_t b = 0; b < blocks; ++b) {
                    const float error = block_sum(error_, b);
                    if (!(error < least[b])) continue;
                    least[b] = error;
                    best[b] = value[b] * factor;
                }
            }
            value = best;
            fill(of_slots, [&](std::size_t b, std::size_t) { return value[b]; });
        };
        fill(super_min_, [&](std::size_t b, std::size_t) { return min[b]; });
        search(std::max(-scaling::sub_scale_low, scaling::sub_scale_high), scale, super_scale_);
        if constexpr (has_min) search(scaling::sub_min_high, min, super_min_);
        take_integers();
    }

    // Solves the block's scale and minimum by least squares for the codes that gave the moments and the integers of
    // `current_`.
    void solve_super_scales() noexcept {
        for (std::size_t b = 0; b < blocks; ++b) {
            scales& s = current_[b];
            // Normal equations (a -c; -c e)(scale, min) = (f, h).
            double a = 0, c = 0, e = 0, f = 0, h = 0;
            for (std::size_t g = 0; g < sub_blocks; ++g) {
                const std::size_t u = b * sub_blocks + g;
                const double scale = s.sub_scale[g], rq = rq_[u], qq = qq_[u];
                a += scale * scale * qq;
                if constexpr (has_min) {
                    const double min = s.sub_min[g], q = q_[u], weight = tiles_.weight()[u];
                    c += scale * min * q;
                    e += min * min * weight;
                    f += scale * (rq + double{scale_[u]} * qq - double{min_[u]} * q);
                    h += min * (double{min_[u]} * weight - double{r_[u]} - double{scale_[u]} * q);
                } else {
                    f += scale * (rq + double{scale_[u]} * qq);
                }
            }
            using scalar = typename scaling::scalar;
            if constexpr (has_min) {
                const double determinant = a * e - c * c;
                double scale = f / a, min = 0;
                if (determinant > 1e-6 * a * e) {
                    scale = (f * e + c * h) / determinant;
                    min = (a * h + c * f) / determinant;
                }
                if (min < 0) {
                    scale = f / a;
                    min = 0;
                }
                if (!std::isfinite(scale)) continue;
                s.super_scale = finite_scale<scalar>(static_cast<float>(scale));
                s.super_min = finite_scale<scalar>(static_cast<float>(min));
            } else if (std::isfinite(f / a)) {
                s.super_scale = finite_scale<scalar>(static_cast<float>(f / a));
            }
        }
    }

    // Keeps what `current_` holds where its true error, in rr_, is the block's least so far.
    void keep_best(std::array<scales, blocks>& out) noexcept {
        for (std::size_t b = 0; b < blocks; ++b) {
            const float error = block_sum(rr_, b);
            if (!(error < best_error_[b])) continue;
            best_error_[b] = error;
            out[b] = current_[b];
        }
    }

    tiling tiles_;
    slot_array scale_, min_, error_;
    // Of scales in two levels: sums of the present codes, integers and block values by slot.
    slot_array rr_, rq_, qq_, r_, q_, sub_scale_, sub_min_, super_scale_, super_min_;
    std::array<scales, blocks> current_;
    std::array<float, blocks> best_error_;
};

}  // namespace tessera
