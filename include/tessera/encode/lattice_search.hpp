// Importance-weighted choice of scales and codewords for a block of a lattice format.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>

#include "tessera/format/concepts.hpp"
#include "tessera/format/lattice_format.hpp"
#include "tessera/kernels/simd.hpp"

namespace tessera {

/// A two-stage format whose weights are rounded to codewords: what lattice_search can work on.
template <class F>
concept lattice = two_stage_format<F> && requires {
    typename F::codebook;
    typename F::template rounder<F::groups>;
};

/// Encodes a block of F so that  sum w (x - decoded)^2  is small.
///
/// First every sub-block by itself, with scales that need not be storable: the least error that codewords can reach is
/// summed up for a few scales; the best of them gives codes, and with these the error is a parabola in the scale. Then
/// the block: of several block scales the one whose sub-scales lose least on those parabolas. Last, with the scales as
/// they will be stored, neighbouring sub-scales are tried with the true error, the block's scale is solved for by least
/// squares, and the codes are chosen again.
template <lattice F, class Arch = kernels::default_arch>
class lattice_search {
    using batch = kernels::float_batch<Arch>;
    using scales = typename F::scales;
    using codebook = typename F::codebook;
    static constexpr std::size_t lanes = kernels::lanes<Arch>;
    static constexpr std::size_t size = F::block_size;
    static constexpr std::size_t sub_size = F::sub_block_size;
    static constexpr std::size_t sub_blocks = F::sub_blocks;
    static constexpr std::size_t groups = F::groups;
    static constexpr std::size_t groups_of_sub_block = groups / sub_blocks;

public:
    using sub_block_array = std::array<float, sub_blocks>;
    /// `importance` is empty when all weights are alike, else not negative. A sub-block without any is treated as evenly,
    /// and hardly, important.
    void operator()(std::span<const float, size> x, std::span<const float> importance,
                    typename F::block& out) noexcept {
        load(x, importance);
        scan();
        if (refine < 0.0f) for (auto& v : scale_) v *= -refine;
        if (refine > 1.0f) {
            std::array<sub_block_array, 3> e; auto center = scale_;
            for (int i = 0; i < 3; ++i) {
                for (std::size_t u = 0; u < sub_blocks; ++u) scale_[u] = center[u] * (i == 0 ? 1.0f / refine : i == 1 ? 1.0f : refine);
                set_scales(scale_, shift_);
                e[i] = errors();
            }
            for (std::size_t u = 0; u < sub_blocks; ++u) {
                const float bend = e[0][u] - 2.0f * e[1][u] + e[2][u];
                const float width = center[u] * (refine - 1.0f / refine) * 0.5f;
                scale_[u] = center[u] * (e[0][u] < e[1][u] && e[0][u] < e[2][u] ? 1.0f / refine : e[2][u] < e[1][u] ? refine : 1.0f);
                if (bend > 0.0f) {
                scale_[u] = center[u] + width * std::clamp(0.5f * (e[0][u] - e[2][u]) / bend, -1.5f, 1.5f);
                bend_[u] = bend / (2.0f * width * width);
                }
            }
        }
        choose_scales();
        vary_sub_scales();
        best_error_ = std::numeric_limits<float>::infinity();
        for (int i = 0; i < rounds; ++i) {
            round();
            solve();
        }
        round();
        F::store(best_, best_codes_, out);
    }

    static inline int rounds = 1;
    static inline int vary = 1; static inline float lambda = -1.0f, refine = 0.0f; sub_block_array ww_;

private:
    static constexpr std::size_t alignment = kernels::simd_alignment<Arch>;
    using group_array = std::array<float, groups>;

    [[nodiscard]] static float sum(batch values) noexcept {
        alignas(alignment) std::array<float, lanes> each;
        values.store_aligned(each.data());
        float total = 0.0f;
        for (const float value : each) total += value;
        return total;
    }

    void load(std::span<const float, size> x, std::span<const float> importance) noexcept {
        const batch one(1.0f), limit(bounded_weight(std::numeric_limits<float>::max()));
        batch total(0.0f), highest(0.0f);
        for (std::size_t i = 0; i < size; i += lanes) {
            const batch value = batch::load_unaligned(x.data() + i);
            const batch cut = xsimd::min(xsimd::max(xsimd::select(value == value, value, batch(0.0f)), -limit), limit);
            const batch weight = importance.empty() ? one : batch::load_unaligned(importance.data() + i);
            cut.store_aligned(x_.data() + i);
            weight.store_aligned(w_.data() + i);
            total += weight;
            highest = xsimd::max(highest, xsimd::abs(cut));
        }
        const float all = sum(total);
        const bool usable = all > 0.0f && all <= std::numeric_limits<float>::max();
        const batch factor(usable ? static_cast<float>(size) / all : 0.0f);
        alignas(alignment) std::array<float, lanes> each;
        highest.store_aligned(each.data());
        const float largest = *std::max_element(each.begin(), each.end());
        const batch inverse(kernels::reciprocal_or_zero(largest));
        for (std::size_t u = 0; u < sub_blocks; ++u) {
            batch weights(0.0f), powers(0.0f);
            for (std::size_t i = u * sub_size; i < (u + 1) * sub_size; i += lanes)
                weights += batch::load_aligned(w_.data() + i) * factor;
            const float weight_of_sub_block = sum(weights);
            const bool even = !(weight_of_sub_block > 0.0f);
            for (std::size_t i = u * sub_size; i < (u + 1) * sub_size; i += lanes) {
                const batch value = batch::load_aligned(x_.data() + i);
                const batch weight = even ? batch(0x1p-20f) : batch::load_aligned(w_.data() + i) * factor;
                weight.store_aligned(w_.data() + i);
                (weight * value).store_aligned(wx_.data() + i);
                const batch square = (value * inverse) * (value * inverse);
                const batch power = square * square;
                powers = xsimd::fma(weight, codebook_of_magnitudes ? power * power : power, powers);
            }
            const float mean = sum(powers) / (even ? 0x1p-20f * static_cast<float>(sub_size) : weight_of_sub_block);
            ww_[u] = even ? 0x1p-20f * (float)sub_size : weight_of_sub_block;
            const float root = std::sqrt(std::sqrt(mean));
            typical_[u] = largest * (codebook_of_magnitudes ? std::sqrt(root) : root);
        }
        for (std::size_t g = 0; g < groups; ++g) find_.load(g, x_.data() + g * F::group, w_.data() + g * F::group);
    }

    void set_scales(const sub_block_array& scale, const sub_block_array& shift) noexcept {
        for (std::size_t g = 0; g < groups; ++g) {
            scale_of_group_[g] = scale[g / groups_of_sub_block];
            shift_of_group_[g] = shift[g / groups_of_sub_block];
        }
    }

    // The error of every sub-block with these scales.
    [[nodiscard]] sub_block_array errors() noexcept {
        find_.costs(scale_of_group_, shift_of_group_, cost_);
        sub_block_array sums{};
        for (std::size_t g = 0; g < groups; ++g) sums[g / groups_of_sub_block] += cost_[g];
        return sums;
    }

    static constexpr bool codebook_of_magnitudes = F::shifts[0] == 0;

    // The scales that are tried, in relation to that which takes the typical weight to the highest level.
#ifndef POINTS
#define POINTS 9
#define RATIO 1.1f
#endif
    static constexpr std::size_t points = POINTS;
    static constexpr float ratio = RATIO;
    static constexpr auto grid = [] {
        std::array<float, points> all{};
        float factor = (F::shifts[0] != 0 ? 1.0f : codebook::dimensions == 8 ? 1.19f : 1.46f) / static_cast<float>(codebook::levels.back());
        for (std::size_t i = 0; i < points / 2; ++i) factor /= ratio;
        for (float& point : all) point = factor, factor *= ratio;
        return all;
    }();

    // The best scale of every sub-block, from the errors at a few around its typical weight.
    void scan() noexcept {
        std::array<std::array<sub_block_array, points>, F::shifts.size()> error;
        for (std::size_t k = 0; k < F::shifts.size(); ++k) {
            shift_.fill(static_cast<float>(F::shifts[k]));
            for (std::size_t i = 0; i < points; ++i) {
                for (std::size_t u = 0; u < sub_blocks; ++u) scale_[u] = typical_[u] * grid[i];
                set_scales(scale_, shift_);
                if (lambda > -0.9f) {
                    find_.bounds(scale_of_group_, shift_of_group_, cost_);
                    if constexpr (F::signs == lattice_signs::shift_of_group) {
                        alignas(alignment) group_array minus, cost2;
                        minus.fill(-1.0f);
                        find_.bounds(scale_of_group_, minus, cost2);
                        for (std::size_t g = 0; g < groups; ++g) cost_[g] = std::min(cost_[g], cost2[g]);
                    }
                    for (std::size_t u = 0; u < sub_blocks; ++u) error[k][i][u] = scale_[u] * scale_[u] * lambda * ww_[u];
                    for (std::size_t g = 0; g < groups; ++g) error[k][i][g / groups_of_sub_block] += cost_[g];
                } else
                error[k][i] = errors();
            }
        }
        for (std::size_t u = 0; u < sub_blocks; ++u) {
            std::size_t best = 0, shift = 0;
            for (std::size_t k = 0; k < F::shifts.size(); ++k)
                for (std::size_t i = 0; i < points; ++i)
                    if (error[k][i][u] < error[shift][best][u]) best = i, shift = k;
            // The vertex of the parabola through the best point and its neighbours.
            const std::size_t middle = std::clamp<std::size_t>(best, 1, points - 2);
            const float before = error[shift][middle - 1][u], here = error[shift][middle][u], after = error[shift][middle + 1][u];
            const float bend = before - 2.0f * here + after;
            float scale = typical_[u] * grid[best];
            const float width = typical_[u] * grid[middle] * (ratio - 1.0f / ratio) * 0.5f;
            bend_[u] = here / (scale * scale);
            if (bend > 0.0f) {
                scale = typical_[u] * grid[middle] + width * std::clamp(0.5f * (before - after) / bend, -1.5f, 1.5f);
                bend_[u] = bend / (2.0f * width * width);
            }
            scale_[u] = scale;
            shift_[u] = static_cast<float>(F::shifts[shift]);
        }
    }

    // For the codes at hand: sums of w x c and of w c c over every sub-block.
    void sum_moments() noexcept {
        for (std::size_t u = 0; u < sub_blocks; ++u) {
            batch xc(0.0f), cc(0.0f);
            for (std::size_t g = u * groups_of_sub_block; g < (u + 1) * groups_of_sub_block; ++g)
                levels_[g] = F::levels(codes_[g], shift_[u] < 0.0f);
            const auto* level = reinterpret_cast<const std::int8_t*>(levels_.data());
            for (std::size_t i = u * sub_size; i < (u + 1) * sub_size; i += lanes) {
                const batch c = kernels::widen<Arch>(level + i);
                xc = xsimd::fma(c, batch::load_aligned(wx_.data() + i), xc);
                cc = xsimd::fma(c * c, batch::load_aligned(w_.data() + i), cc);
            }
            xc_[u] = sum(xc);
            cc_[u] = sum(cc);
        }
    }
    // The block's scale and sub-scales that lose least while the codes stay.
    void choose_scales() noexcept {
        float largest = 0.0f;
        for (const float scale : scale_) largest = std::max(largest, scale);
        float least = std::numeric_limits<float>::infinity();
        constexpr int top = 2 * scales::sub_scale_high + 1;
        current_.super_scale = half(0.0f);
        for (int odd = top + 1; odd >= top - 2 * scales::sub_scale_high / 3; --odd) {
            const auto candidate = finite_scale<half>(largest / F::factor(0) / static_cast<float>(odd));
            const auto super_scale = static_cast<float>(candidate);
            float loss = 0.0f;
            for (std::size_t u = 0; u < sub_blocks; ++u) {
                const float off = super_scale * F::factor(F::nearest_sub_scale(scale_[u], super_scale)) - scale_[u];
                loss += off * off * bend_[u];
            }
            if (!(loss < least)) continue;
            least = loss;
            current_.super_scale = candidate;
        }
        for (std::size_t u = 0; u < sub_blocks; ++u) {
            current_.sub_scale[u] = F::nearest_sub_scale(scale_[u], static_cast<float>(current_.super_scale));
            if constexpr (F::shifts.size() > 1) current_.negative_shift[u] = shift_[u] < 0.0f;
        }
    }

    // Moves every sub-scale to the best of itself and its neighbours.
    void vary_sub_scales() noexcept {
        sub_block_array least;
        least.fill(std::numeric_limits<float>::infinity());
        const auto before = current_.sub_scale;
        if (!vary) return;
        for (const int step : {0, -1, 1}) {
            std::array<std::uint8_t, sub_blocks> tried;
            for (std::size_t u = 0; u < sub_blocks; ++u) {
                tried[u] = static_cast<std::uint8_t>(std::clamp(before[u] + step, 0, scales::sub_scale_high));
                scale_[u] = static_cast<float>(current_.super_scale) * F::factor(tried[u]);
            }
            set_scales(scale_, shift_);
            const sub_block_array error = errors();
            for (std::size_t u = 0; u < sub_blocks; ++u)
                if (error[u] < least[u]) {
                    least[u] = error[u];
                    current_.sub_scale[u] = tried[u];
                }
        }
    }

    // Chooses codes for the scales at hand; keeps both if they are the best so far.
    void round() noexcept {
        for (std::size_t u = 0; u < sub_blocks; ++u) scale_[u] = F::scale(current_, u);
        set_scales(scale_, shift_);
        find_.round(scale_of_group_, shift_of_group_, cost_, codes_);
        float error = 0.0f;
        for (const float one : cost_) error += one;
        if (!(error < best_error_)) return;
        best_error_ = error;
        best_ = current_;
        best_codes_ = codes_;
    }

    // The block's scale that is best for the codes and sub-scales at hand.
    void solve() noexcept {
        sum_moments();
        float xc = 0.0f, cc = 0.0f;
        for (std::size_t u = 0; u < sub_blocks; ++u) {
            const float factor = F::factor(current_.sub_scale[u]);
            xc += factor * xc_[u];
            cc += factor * factor * cc_[u];
        }
        if (cc > 0.0f) current_.super_scale = finite_scale<half>(xc / cc);
    }

    alignas(alignment) std::array<float, size> x_, w_, wx_;
    alignas(alignment) group_array scale_of_group_, shift_of_group_, cost_;
    alignas(alignment) std::array<kernels::byte_group, groups> levels_;
    sub_block_array typical_, scale_, shift_, bend_, xc_, cc_;
    typename F::template rounder<groups, Arch> find_;
    typename F::code_array codes_, best_codes_;
    scales current_, best_;
    float best_error_;
};

}  // namespace tessera
