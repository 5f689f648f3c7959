// Importance-weighted choice of scales and codewords for a block of a lattice format.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>

#include "tessera/encode/importance.hpp"
#include "tessera/format/concepts.hpp"
#include "tessera/format/lattice_format.hpp"
#include "tessera/kernels/lanes.hpp"
#include "tessera/kernels/rounding.hpp"
#include "tessera/kernels/simd.hpp"

namespace tessera {

/// A two-stage format whose weights are rounded to codewords: what lattice_search can work on.
template <class F>
concept rounds_to_lattice = two_stage_format<F> && requires {
    typename F::codebook;
    typename F::template rounder<F::groups>;
};

/// Encodes blocks of F so that  sum w (x - decoded)^2  is small.
///
/// First every sub-block by itself, with scales that need not be storable: at a few of them its error is bounded as if
/// every point of the grid were a codeword, which costs little and has its minimum in nearly the same place. A parabola
/// through the best of them says what another scale would lose. Then the block: the scale whose sub-scales lose least;
/// its sub-scales, varied by one against the true error; the nearest codes; and the block's scale once more, by least
/// squares for these codes.
template <rounds_to_lattice F, class Arch = kernels::default_arch>
class lattice_search {
    using batch = kernels::float_batch<Arch>;
    using scales = typename F::scales;
    using codebook = typename F::codebook;
    static constexpr std::size_t lanes = kernels::lanes<Arch>;
    static constexpr std::size_t size = F::block_size;
    static constexpr std::size_t sub_size = F::sub_block_size;
    static constexpr std::size_t sub_blocks = F::sub_blocks;
    static constexpr std::size_t groups_of_sub_block = F::groups_of_sub_block;

public:
    /// Encodes the weights x. `importance` is empty when all are alike; what is no positive number in it counts as 0,
    /// and a block without any importance as evenly important. A sub-block without any is rounded evenly, with a scale
    /// that suits the others.
    void operator()(std::span<const float, size> x, std::span<const float> importance,
                    typename F::block& out) noexcept {
        load(x, importance);
        choose_sub_block_scales();
        const bool flat = std::find(flat_.begin(), flat_.end(), true) != flat_.end();
        if (flat) choose_flat_scales();
        choose_block_scale();
        if (refines || flat) vary_sub_scales();
        find_.round(F::factors(scales_), codes_);
        solve_block_scale();
        F::store(scales_, codes_, out);
    }

    /// Better scales for the weights x, beginning with those in `out`, which are near: least squares for the codes that
    /// these lead to.
    void improve(std::span<const float, size> x, std::span<const float> importance, scales& out) noexcept {
        load(x, importance);
        scales_ = out;
        find_.round(F::factors(scales_), codes_);
        solve_sub_block_scales();
        choose_block_scale();
        solve_block_scale();
        out = scales_;
    }

private:
    using sub_block_array = std::array<float, sub_blocks>;

    static constexpr bool of_magnitudes = codebook::levels[0] > 0;
    // A codebook with a good part of all points follows the bounds: true errors tell little more, and cost much.
    static constexpr bool refines = codebook::size <= 1024;
    // Below this part of the energy that is variance of magnitudes, a sub-block is flat.
    static constexpr float flatness = of_magnitudes ? 1.0f / 16 : 1.0f / 64;

    // Takes the weights, cut to what can be squared and summed, and the importances, scaled to a mean of 1 over the
    // block.
    void load(std::span<const float, size> x, std::span<const float> importance) noexcept {
        normalize_importance<Arch>(importance, w_);
        std::transform(x.begin(), x.end(), x_.begin(), bounded_weight);
        for (std::size_t u = 0; u < sub_blocks; ++u) measure(u);
        for (std::size_t g = 0; g < F::groups; ++g) find_.load(g, x_.data() + g * F::group, w_.data() + g * F::group);
    }

    // Finds what is typical of a sub-block: the mean of a high power of its magnitudes, between the root mean square
    // and the maximum. A sub-block is flat when its magnitudes are nearly alike.
    void measure(std::size_t u) noexcept {
        const std::size_t first = u * sub_size, last = first + sub_size;
        batch weights(0.0f), highest(0.0f), sums(0.0f), squares(0.0f), powers(0.0f);
        for (std::size_t i = first; i < last; i += lanes) weights += batch::load_aligned(w_.data() + i);
        weight_[u] = kernels::sum_lanes<Arch>(weights);
        counts_[u] = weight_[u] > 0.0f;
        if (!counts_[u]) {
            std::fill_n(w_.data() + first, sub_size, 1.0f);
            weight_[u] = static_cast<float>(sub_size);
        }
        for (std::size_t i = first; i < last; i += lanes) {
            const batch magnitude = xsimd::abs(batch::load_aligned(x_.data() + i));
            const batch weight = batch::load_aligned(w_.data() + i);
            highest = xsimd::max(highest, xsimd::select(weight > batch(0.0f), magnitude, batch(0.0f)));
            sums = xsimd::fma(weight, magnitude, sums);
            squares = xsimd::fma(weight * magnitude, magnitude, squares);
        }
        const float unit = kernels::max_lane<Arch>(highest);
        mean_[u] = kernels::sum_lanes<Arch>(sums) / weight_[u];
        const float energy = kernels::sum_lanes<Arch>(squares);
        flat_[u] = energy - mean_[u] * mean_[u] * weight_[u] < flatness * energy;
        const batch inverse(kernels::reciprocal_or_zero(unit));
        for (std::size_t i = first; i < last; i += lanes) {
            const batch part = xsimd::min(xsimd::abs(batch::load_aligned(x_.data() + i)) * inverse, batch(1.0f));
            const batch square = part * part;
            const batch power = square * square;
            powers = xsimd::fma(batch::load_aligned(w_.data() + i), of_magnitudes ? power * power : power, powers);
        }
        const float root = std::sqrt(std::sqrt(kernels::sum_lanes<Arch>(powers) / weight_[u]));
        typical_[u] = unit * (of_magnitudes ? std::sqrt(root) : root);
    }

    // Scales that are tried, in relation to the typical magnitude. The best ones scatter by a fifth around the centre,
    // which takes the typical magnitude to the highest level or somewhat beyond.
    static constexpr std::size_t points = 11;
    static constexpr float ratio = 1.08f;
    static constexpr auto grid = [] {
        constexpr float centre = of_magnitudes ? (codebook::dimensions == 8 ? 1.19f : 1.46f) : 1.0f;
        std::array<float, points> all{};
        all[points / 2] = centre / static_cast<float>(codebook::levels.back());
        for (std::size_t i = points / 2; i-- > 0;) all[i] = all[i + 1] / ratio;
        for (std::size_t i = points / 2 + 1; i < points; ++i) all[i] = all[i - 1] * ratio;
        return all;
    }();

    void choose_sub_block_scales() noexcept {
        std::array<std::array<sub_block_array, points>, F::shifts.size()> bound;
        for (std::size_t k = 0; k < F::shifts.size(); ++k)
            for (std::size_t i = 0; i < points; ++i) {
                for (std::size_t g = 0; g < F::groups; ++g) {
                    factors_.scale[g] = typical_[g / groups_of_sub_block] * grid[i];
                    factors_.shift[g] = static_cast<float>(F::shifts[k]);
                }
                find_.bounds(factors_, error_);
                bound[k][i] = sum_of_groups();
            }
        for (std::size_t u = 0; u < sub_blocks; ++u) {
            std::size_t shift = 0, best = 0;
            for (std::size_t k = 0; k < F::shifts.size(); ++k)
                for (std::size_t i = 0; i < points; ++i)
                    if (bound[k][i][u] < bound[shift][best][u]) shift = k, best = i;
            if constexpr (F::shifts.size() > 1) scales_.negative_shift[u] = F::shifts[shift] < 0;
            // The parabola through the best point and its neighbours: where its vertex is, and how steeply it rises.
            const std::size_t middle = std::clamp<std::size_t>(best, 1, points - 2);
            const float before = bound[shift][middle - 1][u], here = bound[shift][middle][u],
                        after = bound[shift][middle + 1][u];
            const float bend = before - 2.0f * here + after;
            const float width = typical_[u] * grid[middle] * 0.5f * (ratio - 1.0f / ratio);
            if (bend > 0.0f && width > 0.0f) {
                const float vertex = 0.5f * (before - after) / bend;
                scale_[u] = typical_[u] * grid[middle] + width * std::clamp(vertex, -1.5f, 1.5f);
                steepness_[u] = 0.5f * bend / (width * width);
            } else {
                scale_[u] = typical_[u] * grid[best];
                steepness_[u] = weight_[u] * static_cast<float>(codebook::levels[0] * codebook::levels[0]);
            }
        }
    }

    // In flat sub-blocks the minimum is sharp, and few codebooks have a constant vector for every level. There the
    // scales that take the mean magnitude to one of the levels compete by their true errors.
    void choose_flat_scales() noexcept {
        sub_block_array least;
        least.fill(std::numeric_limits<float>::infinity());
        for (const int shift : F::shifts)
            for (const int level : codebook::levels) {
                const auto constant = static_cast<float>(F::magnitude(level, shift));
                for (std::size_t g = 0; g < F::groups; ++g) {
                    factors_.scale[g] = mean_[g / groups_of_sub_block] / constant;
                    factors_.shift[g] = static_cast<float>(shift);
                }
                find_.errors(factors_, error_);
                const sub_block_array error = sum_of_groups();
                for (std::size_t u = 0; u < sub_blocks; ++u) {
                    if (!flat_[u] || !(error[u] < least[u])) continue;
                    least[u] = error[u];
                    scale_[u] = mean_[u] / constant;
                    steepness_[u] = weight_[u] * constant * constant;
                    if constexpr (F::shifts.size() > 1) scales_.negative_shift[u] = shift < 0;
                }
            }
    }

    [[nodiscard]] sub_block_array sum_of_groups() const noexcept {
        sub_block_array sums{};
        for (std::size_t g = 0; g < F::groups; ++g) sums[g / groups_of_sub_block] += error_[g];
        return sums;
    }

    // Tries block scales that give the largest scale a sub-scale from the highest down to two thirds of it.
    void choose_block_scale() noexcept {
        float largest = 0.0f;
        for (std::size_t u = 0; u < sub_blocks; ++u)
            if (counts_[u]) largest = std::max(largest, scale_[u]);
        constexpr int candidates = 12;
        constexpr float top = 2 * scales::sub_scale_high + 2;
        float least = std::numeric_limits<float>::infinity();
        scales_.super_scale = half(0.0f);
        for (int k = 0; k < candidates; ++k) {
            const float odd = top * (1.0f - static_cast<float>(k) / (3 * candidates));
            const auto candidate = finite_scale<half>(largest / (F::factor(0.0f) * odd));
            const auto super_scale = static_cast<float>(candidate);
            float loss = 0.0f;
            for (std::size_t u = 0; u < sub_blocks; ++u) {
                const float off = super_scale * F::factor(F::nearest_sub_scale(scale_[u], super_scale)) - scale_[u];
                loss += counts_[u] ? off * off * steepness_[u] : 0.0f;
            }
            if (!(loss < least)) continue;
            least = loss;
            scales_.super_scale = candidate;
        }
        const auto super_scale = static_cast<float>(scales_.super_scale);
        for (std::size_t u = 0; u < sub_blocks; ++u)
            scales_.sub_scale[u] = static_cast<std::uint8_t>(F::nearest_sub_scale(scale_[u], super_scale));
    }

    // Moves every sub-scale to the best of itself and its two neighbours.
    void vary_sub_scales() noexcept {
        sub_block_array least;
        least.fill(std::numeric_limits<float>::infinity());
        const auto before = scales_.sub_scale;
        auto best = before;
        for (const int step : {0, -1, 1}) {
            for (std::size_t u = 0; u < sub_blocks; ++u)
                scales_.sub_scale[u] =
                    static_cast<std::uint8_t>(std::clamp(before[u] + step, 0, scales::sub_scale_high));
            find_.errors(F::factors(scales_), error_);
            const sub_block_array error = sum_of_groups();
            for (std::size_t u = 0; u < sub_blocks; ++u) {
                if (!(error[u] < least[u])) continue;
                least[u] = error[u];
                best[u] = scales_.sub_scale[u];
            }
        }
        scales_.sub_scale = best;
    }

    // Sums of w x c and of w c c over a sub-block, in lanes, where c are the levels of its codes.
    struct level_moments {
        batch xc = batch(0.0f), cc = batch(0.0f);
    };
    [[nodiscard]] std::array<level_moments, sub_blocks> sum_levels() const noexcept {
        std::array<kernels::byte_group, F::groups> bytes;
        for (std::size_t g = 0; g < F::groups; ++g)
            bytes[g] = F::levels(codes_[g], F::shift(scales_, g / groups_of_sub_block));
        const auto* levels = reinterpret_cast<const std::int8_t*>(bytes.data());
        std::array<level_moments, sub_blocks> sums;
        for (std::size_t u = 0; u < sub_blocks; ++u)
            for (std::size_t i = u * sub_size; i < (u + 1) * sub_size; i += lanes) {
                const batch level = kernels::widen<Arch>(levels + i);
                const batch weighted = level * batch::load_aligned(w_.data() + i);
                sums[u].xc = xsimd::fma(weighted, batch::load_aligned(x_.data() + i), sums[u].xc);
                sums[u].cc = xsimd::fma(weighted, level, sums[u].cc);
            }
        return sums;
    }

    // The scales of sub-blocks that are best for the codes at hand, and what others would lose.
    void solve_sub_block_scales() noexcept {
        const std::array<level_moments, sub_blocks> sums = sum_levels();
        for (std::size_t u = 0; u < sub_blocks; ++u) {
            steepness_[u] = kernels::sum_lanes<Arch>(sums[u].cc);
            scale_[u] = kernels::sum_lanes<Arch>(sums[u].xc) * kernels::reciprocal_or_zero(steepness_[u]);
        }
    }

    // The block's scale that is best for the codes and sub-scales at hand.
    void solve_block_scale() noexcept {
        const std::array<level_moments, sub_blocks> sums = sum_levels();
        batch xc(0.0f), cc(0.0f);
        for (std::size_t u = 0; u < sub_blocks; ++u) {
            if (!counts_[u]) continue;
            const batch factor(F::factor(scales_.sub_scale[u]));
            xc = xsimd::fma(factor, sums[u].xc, xc);
            cc = xsimd::fma(factor * factor, sums[u].cc, cc);
        }
        const float scale = kernels::sum_lanes<Arch>(xc) / kernels::sum_lanes<Arch>(cc);
        if (std::isfinite(scale)) scales_.super_scale = finite_scale<half>(scale);
    }

    alignas(64) std::array<float, size> x_, w_;
    sub_block_array weight_, mean_, typical_, scale_, steepness_;
    std::array<bool, sub_blocks> counts_, flat_;
    lattice_factors<F::groups> factors_;
    std::array<float, F::groups> error_;
    typename F::template rounder<F::groups, Arch> find_;
    typename F::code_array codes_;
    scales scales_;
};

}  // namespace tessera
