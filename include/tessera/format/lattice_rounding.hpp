// Rounding to codewords: the nearest code for groups of eight weights, many groups at once.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "tessera/kernels/lattice_costs.hpp"
#include "tessera/kernels/rounding.hpp"
#include "tessera/kernels/simd.hpp"

namespace tessera {

/// How eight weights get their signs.
enum class lattice_signs {
    free,                ///< a bit for each weight
    even,                ///< a bit for each weight, an even number of them set
    shift_of_group,      ///< levels have signs; one bit says whether all eight are shifted up or down
    shift_of_sub_block,  ///< the same, one bit for a sub-block, kept with its scale
};

/// What is stored for eight weights.
template <std::size_t Words>
struct lattice_code {
    std::array<std::uint16_t, Words> index;  ///< codewords, the one of the first weights first
    std::uint8_t signs;                      ///< bit j: weight j is negative; of a shift: 1 when it is down, else 0
};

/// A weight cut to what the search for codewords can square and sum; NaN becomes 0.
[[nodiscard]] inline float bounded_weight(float x) noexcept {
    return x == x ? kernels::clamp(x, -0x1p48f, 0x1p48f) : 0.0f;
}

/// Rounds `Groups` groups of eight weights, a multiple of the SIMD lanes.
///
/// Scales and shifts are one a group. Shifts are 1 or -1 where they come with the scales (shift_of_sub_block), 0 for
/// codewords of magnitudes, and not read where the code has them (shift_of_group).
template <class Codebook, lattice_signs Signs, std::size_t Groups, class Arch = kernels::default_arch>
class lattice_rounder {
    static constexpr std::size_t group = 8;
    static constexpr std::size_t words = group / Codebook::dimensions;
    static constexpr bool has_signs = Signs == lattice_signs::free || Signs == lattice_signs::even;
    static constexpr bool even = Signs == lattice_signs::even;
    static constexpr std::size_t registers = std::min<std::size_t>(4, Groups / kernels::lanes<Arch>);
    using costs_type = kernels::lattice_costs<Codebook, even, registers, Arch>;
    static constexpr std::size_t piece = costs_type::vectors;
    static_assert(Groups % piece == 0);

public:
    using code = lattice_code<words>;
    using group_array = std::array<float, Groups>;  ///< a number for each group

    /// Takes the eight weights of group g and their importances, none of them negative, all small enough for squares.
    void load(std::size_t g, const float* x, const float* importance) noexcept {
        unsigned signs = 0;
        for (std::size_t j = 0; j < group; ++j) {
            if (std::signbit(x[j])) signs |= 1u << j;
            x_[j * Groups + g] = has_signs ? std::fabs(x[j]) : x[j];
            w_[j * Groups + g] = importance[j];
        }
        signs_[g] = static_cast<std::uint8_t>(signs);
        if constexpr (even) {
            for (std::size_t j = 0; j < group; ++j) even_x_[j * Groups + g] = x_[j * Groups + g];
            if (std::popcount(signs) % 2 == 0) return;
            std::size_t least = 0;
            for (std::size_t j = 1; j < group; ++j)
                if (std::fabs(x[j]) * importance[j] < std::fabs(x[least]) * importance[least]) least = j;
            even_x_[least * Groups + g] = -even_x_[least * Groups + g];
        }
    }

    /// The weighted squared errors that the nearest codes leave. Where the number of signs must be even, the weight of
    /// least importance times magnitude has its sign turned beforehand: close to the least error, for half the work.
    void costs(const group_array& scale, const group_array& shift, group_array& cost) noexcept {
        const float* x = even ? even_x_.data() : x_.data();
        for (std::size_t v = 0; v < Groups; v += piece) {
            least(x, scale, shift, v, cost.data() + v);
            if constexpr (Signs == lattice_signs::shift_of_group) {
                alignas(alignment) std::array<float, piece> down;
                least(x, scale, downward_, v, down.data());
                for (std::size_t i = 0; i < piece; ++i) cost[v + i] = std::min(cost[v + i], down[i]);
            }
        }
    }

    /// What the errors would be if every point of the grid were a codeword, with any signs.
    void bounds(const group_array& scale, const group_array& shift, group_array& cost) const noexcept {
        using batch = kernels::float_batch<Arch>;
        for (std::size_t v = 0; v < Groups; v += kernels::lanes<Arch>) {
            const batch factor = batch::load_aligned(scale.data() + v);
            const batch offset = factor * batch::load_aligned(shift.data() + v);
            batch sum(0.0f);
            for (std::size_t j = 0; j < group; ++j) {
                const batch value = batch::load_aligned(x_.data() + j * Groups + v) - offset;
                batch least(std::numeric_limits<float>::infinity());
                for (const std::int8_t level : Codebook::levels) {
                    const batch miss = value - factor * batch(static_cast<float>(level));
                    least = xsimd::min(least, miss * miss);
                }
                sum = xsimd::fma(least, batch::load_aligned(w_.data() + j * Groups + v), sum);
            }
            sum.store_aligned(cost.data() + v);
        }
    }

    /// The nearest codes and the errors they leave.
    void round(const group_array& scale, const group_array& shift, group_array& cost,
               std::array<code, Groups>& codes) noexcept {
        for (std::size_t v = 0; v < Groups; v += piece) {
            if constexpr (Signs == lattice_signs::shift_of_group) {
                nearest(0, scale, upward_, v, none_[0], one_[0]);
                nearest(0, scale, downward_, v, none_[1], one_[1]);
            } else {
                for (std::size_t k = 0; k < words; ++k) nearest(k, scale, shift, v, none_[k], one_[k]);
            }
            for (std::size_t i = 0; i < piece; ++i) cost[v + i] = take(v + i, i, codes[v + i]);
        }
    }

private:
    static constexpr std::size_t alignment = kernels::simd_alignment<Arch>;
    using points = typename costs_type::nearest_points;

    void least(const float* x, const group_array& scale, const group_array& shift, std::size_t v, float* cost) noexcept {
        costs_.template tabulate<false>(x + v, w_.data() + v, scale.data() + v, shift.data() + v, Groups);
        costs_.least(cost);
        if constexpr (words == 2) {
            alignas(alignment) std::array<float, piece> second;
            constexpr std::size_t upper = Codebook::dimensions * Groups;
            costs_.template tabulate<false>(x + upper + v, w_.data() + upper + v, scale.data() + v, shift.data() + v, Groups);
            costs_.least(second.data());
            for (std::size_t i = 0; i < piece; ++i) cost[i] += second[i];
        }
    }

    void nearest(std::size_t k, const group_array& scale, const group_array& shift, std::size_t v, points& none,
                 points& one) noexcept {
        const std::size_t first = k * Codebook::dimensions * Groups + v;
        costs_.template tabulate<even>(x_.data() + first, w_.data() + first, scale.data() + v, shift.data() + v, Groups);
        costs_.nearest(none, one);
    }

    // The code of group g from what was found in place i of the tables, and its cost.
    [[nodiscard]] float take(std::size_t g, std::size_t i, code& to) const noexcept {
        if constexpr (!has_signs) {
            const bool down = Signs == lattice_signs::shift_of_group && none_[1].cost[i] < none_[0].cost[i];
            const points& best = none_[down ? 1 : 0];
            to = {{Codebook::index(best.point[i])}, static_cast<std::uint8_t>(down)};
            return best.cost[i];
        } else {
            to.signs = signs_[g];
            std::array<const points*, words> best;
            float cost = 0.0f;
            for (std::size_t k = 0; k < words; ++k) {
                best[k] = &none_[k];
                cost += none_[k].cost[i];
            }
            std::size_t flipped = words;
            if (even && std::popcount(signs_[g]) % 2 == 1) {
                float least_cost = std::numeric_limits<float>::infinity();
                for (std::size_t k = 0; k < words; ++k) {
                    const float with_flip = cost - none_[k].cost[i] + one_[k].cost[i];
                    if (flipped < words && !(with_flip < least_cost)) continue;
                    least_cost = with_flip;
                    flipped = k;
                }
                best[flipped] = &one_[flipped];
                cost = least_cost;
            }
            for (std::size_t k = 0; k < words; ++k) to.index[k] = Codebook::index(best[k]->point[i]);
            if (flipped < words) to.signs = static_cast<std::uint8_t>(to.signs ^ (1u << flip_of(g, flipped, to.index[flipped])));
            return cost;
        }
    }

    // The weight of word k whose sign costs least to turn: by w (x + s c)^2 - w (x - s c)^2, four times s w x c.
    [[nodiscard]] std::size_t flip_of(std::size_t g, std::size_t k, std::uint16_t index) const noexcept {
        std::size_t best = 0;
        float least = std::numeric_limits<float>::infinity();
        for (std::size_t j = 0; j < Codebook::dimensions; ++j) {
            const std::size_t place = (k * Codebook::dimensions + j) * Groups + g;
            const auto level = static_cast<float>((Codebook::words[index] >> (8 * j)) & 0xff);
            if (const float cost = w_[place] * x_[place] * level; cost < least) {
                least = cost;
                best = k * Codebook::dimensions + j;
            }
        }
        return best;
    }

    [[nodiscard]] static constexpr group_array repeated(float value) noexcept {
        group_array all{};
        all.fill(value);
        return all;
    }

    alignas(alignment) std::array<float, group * Groups> x_, w_;
    alignas(alignment) std::array<float, even ? group * Groups : 1> even_x_;
    alignas(alignment) group_array upward_ = repeated(1.0f);
    alignas(alignment) group_array downward_ = repeated(-1.0f);
    std::array<std::uint8_t, Groups> signs_;
    costs_type costs_;
    std::array<points, 2> none_, one_;
};

}  // namespace tessera
