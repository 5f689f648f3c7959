// Rounding to codewords: the nearest codes for groups of eight weights, many groups at once.
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

/// What the levels of every group are shifted by and multiplied with. A shift is 1 or -1 where it comes with the scale
/// (shift_of_sub_block) and 0 for codewords of magnitudes; where the code has it (shift_of_group) it is not read.
template <std::size_t Groups>
struct lattice_factors {
    alignas(64) std::array<float, Groups> scale, shift;
};

/// A weight cut to what the search for codewords can square and sum; NaN becomes 0.
[[nodiscard]] inline float bounded_weight(float x) noexcept {
    return x == x ? kernels::clamp(x, -0x1p48f, 0x1p48f) : 0.0f;
}

/// Rounds `Groups` groups of eight weights, a multiple of the SIMD lanes.
template <class Codebook, lattice_signs Signs, std::size_t Groups, class Arch = kernels::default_arch>
class lattice_rounder {
    using batch = kernels::float_batch<Arch>;
    static constexpr std::size_t lanes = kernels::lanes<Arch>;
    static constexpr std::size_t group = 8;
    static constexpr std::size_t words = group / Codebook::dimensions;
    static constexpr bool even = Signs == lattice_signs::even;
    static constexpr bool has_signs = even || Signs == lattice_signs::free;
    static constexpr bool chooses_shift = Signs == lattice_signs::shift_of_group;
    static constexpr std::size_t registers = std::min<std::size_t>(4, Groups / lanes);
    using tables = kernels::lattice_costs<Codebook, even, registers, Arch>;
    static constexpr std::size_t at_once = tables::vectors;
    static_assert(Groups % at_once == 0);

public:
    using code = lattice_code<words>;
    using factors = lattice_factors<Groups>;
    using group_array = std::array<float, Groups>;  ///< a number for each group

    /// Takes the eight weights of group g and their importances, none of them negative, all small enough for squares.
    void load(std::size_t g, const float* x, const float* importance) noexcept {
        unsigned signs = 0;
        for (std::size_t j = 0; j < group; ++j) {
            signs |= (std::signbit(x[j]) ? 1u : 0u) << j;
            x_[j * Groups + g] = has_signs ? std::fabs(x[j]) : x[j];
            w_[j * Groups + g] = importance[j];
        }
        signs_[g] = static_cast<std::uint8_t>(signs);
        if constexpr (even) {
            for (std::size_t j = 0; j < group; ++j) even_x_[j * Groups + g] = std::fabs(x[j]);
            if (std::popcount(signs) % 2 == 0) return;
            std::size_t least = 0;
            for (std::size_t j = 1; j < group; ++j)
                if (std::fabs(x[j]) * importance[j] < std::fabs(x[least]) * importance[least]) least = j;
            even_x_[least * Groups + g] = -std::fabs(x[least]);
        }
    }

    /// What the weighted squared errors would be if every point of the grid were a codeword, with any signs: a bound
    /// from below, at a small part of the work, and with its minimum at nearly the same scale.
    void bounds(const factors& f, group_array& cost) const noexcept {
        for (std::size_t g = 0; g < Groups; g += lanes) {
            const batch scale = batch::load_aligned(f.scale.data() + g);
            batch sum;
            if constexpr (chooses_shift) {
                sum = xsimd::min(bound(g, scale, scale), bound(g, scale, -scale));
            } else {
                sum = bound(g, scale, scale * batch::load_aligned(f.shift.data() + g));
            }
            sum.store_unaligned(cost.data() + g);
        }
    }

    /// The errors that the nearest codes leave. Where the number of signs must be even, the weight of least importance
    /// times magnitude has its sign turned beforehand: close to the least error, for half the work.
    void errors(const factors& f, group_array& error) noexcept {
        const float* x = even ? even_x_.data() : x_.data();
        alignas(64) std::array<float, at_once> part;
        for (std::size_t v = 0; v < Groups; v += at_once) {
            std::fill_n(error.data() + v, at_once, chooses_shift ? std::numeric_limits<float>::infinity() : 0.0f);
            for (std::size_t k = 0; k < searches; ++k) {
                const std::size_t first = k * words_apart + v;
                tables_.template tabulate<false>(x + first, w_.data() + first, f.scale.data() + v, shifts(f, k, v),
                                                 Groups);
                tables_.least(part.data());
                for (std::size_t i = 0; i < at_once; ++i)
                    error[v + i] = chooses_shift ? std::min(error[v + i], part[i]) : error[v + i] + part[i];
            }
        }
    }

    /// The nearest codes.
    void round(const factors& f, std::array<code, Groups>& codes) noexcept {
        for (std::size_t v = 0; v < Groups; v += at_once) {
            for (std::size_t k = 0; k < searches; ++k) {
                const std::size_t first = k * words_apart + v;
                tables_.template tabulate<even>(x_.data() + first, w_.data() + first, f.scale.data() + v,
                                                shifts(f, k, v), Groups);
                tables_.nearest(plain_[k], flipped_[k]);
            }
            for (std::size_t i = 0; i < at_once; ++i) codes[v + i] = take(v + i, i);
        }
    }

private:
    // A code is found by several searches: one for each word, or one for each direction of the shift.
    static constexpr std::size_t searches = chooses_shift ? 2 : words;
    static constexpr std::size_t words_apart = chooses_shift ? 0 : Codebook::dimensions * Groups;

    [[nodiscard]] static const float* shifts(const factors& f, std::size_t search, std::size_t v) noexcept {
        static constexpr auto up_and_down = [] {
            lattice_factors<at_once> both{};
            both.scale.fill(1.0f);
            both.shift.fill(-1.0f);
            return both;
        }();
        if constexpr (chooses_shift) return search == 0 ? up_and_down.scale.data() : up_and_down.shift.data();
        return f.shift.data() + v;
    }

    [[nodiscard]] bool is_odd(std::size_t g) const noexcept { return std::popcount(signs_[g]) % 2 == 1; }

    [[nodiscard]] batch bound(std::size_t g, batch scale, batch offset) const noexcept {
        batch sum(0.0f);
        for (std::size_t j = 0; j < group; ++j) {
            const batch value = batch::load_aligned(x_.data() + j * Groups + g) - offset;
            batch least(std::numeric_limits<float>::infinity());
            for (const std::int8_t level : Codebook::levels) {
                const batch miss = value - scale * batch(static_cast<float>(level));
                least = xsimd::min(least, miss * miss);
            }
            sum = xsimd::fma(least, batch::load_aligned(w_.data() + j * Groups + g), sum);
        }
        return sum;
    }

    // The code of group g from what was found in place i of the tables.
    [[nodiscard]] code take(std::size_t g, std::size_t i) const noexcept {
        code c{};
        if constexpr (has_signs) {
            c.signs = signs_[g];
            for (std::size_t k = 0; k < words; ++k) c.index[k] = Codebook::index(plain_[k].point[i]);
            if (even && is_odd(g)) {
                // One sign has to turn; in the word where that adds least.
                std::size_t k = 0;
                for (std::size_t other = 1; other < words; ++other)
                    if (added(other, i) < added(k, i)) k = other;
                c.index[k] = Codebook::index(flipped_[k].point[i]);
                c.signs = static_cast<std::uint8_t>(c.signs ^ (1u << flip(g, k, c.index[k])));
            }
        } else {
            const bool down = chooses_shift && plain_[searches - 1].cost[i] < plain_[0].cost[i];
            c.index[0] = Codebook::index(plain_[down ? 1 : 0].point[i]);
            c.signs = down ? 1 : 0;
        }
        return c;
    }
    [[nodiscard]] float added(std::size_t k, std::size_t i) const noexcept {
        return flipped_[k].cost[i] - plain_[k].cost[i];
    }

    // The weight of word k whose sign costs least to turn: w (x + s c)^2 - w (x - s c)^2 is four times s w x c.
    [[nodiscard]] std::size_t flip(std::size_t g, std::size_t k, std::uint16_t index) const noexcept {
        std::size_t best = 0;
        float least = std::numeric_limits<float>::infinity();
        for (std::size_t j = 0; j < Codebook::dimensions; ++j) {
            const std::size_t place = (k * Codebook::dimensions + j) * Groups + g;
            const float cost = w_[place] * x_[place] * static_cast<float>((Codebook::words[index] >> (8 * j)) & 0xff);
            if (!(cost < least)) continue;
            least = cost;
            best = k * Codebook::dimensions + j;
        }
        return best;
    }

    // Weight j of group g is at j * Groups + g; x as magnitudes where there are signs.
    alignas(64) std::array<float, group * Groups> x_, w_;
    alignas(64) std::array<float, even ? group * Groups : 1> even_x_;
    std::array<std::uint8_t, Groups> signs_{};
    tables tables_;
    std::array<typename tables::nearest_points, searches> plain_, flipped_;
};

}  // namespace tessera
