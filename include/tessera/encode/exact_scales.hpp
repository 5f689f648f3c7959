// Finding the scales of weights that were decoded from a format once.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <limits>
#include <optional>
#include <span>
#include <vector>

#include "tessera/encode/scale_search.hpp"
#include "tessera/format/concepts.hpp"
#include "tessera/kernels/rounding.hpp"

namespace tessera {

/// Recovers the scales of blocks whose weights lie on F's grid, as those of checkpoints that were trained for a format
/// or dequantized from one do. Other blocks are told apart after a few operations, nearly always by their first
/// sub-block.
///
/// A sub-block's step is the distance of its extremes over some number of levels; which number shows in the weights
/// between them. Scales in two levels are multiples of one value, which is some integral part of each of them. Where
/// weights are so few and simple that they lie on very many grids, only some of these are tried.
template <scaled_format F>
class exact_scales {
    using scaling = typename F::scaling;
    using scales = typename F::scales;
    using codebook = typename F::codebook;
    using super = typename scaling::scalar;
    static constexpr std::size_t sub_blocks = scaling::sub_blocks;
    static constexpr bool has_min = scaling::has_min;

public:
    /// The scales under which all weights of the block are decoded as they are, or nothing.
    [[nodiscard]] static std::optional<scales> find(std::span<const float, F::block_size> x) {
        grid_lists grids;
        for (std::size_t g = 0; g < sub_blocks; ++g) {
            grids[g] = grids_of(x.subspan(g * F::sub_block_size, F::sub_block_size));
            if (grids[g].empty()) return std::nullopt;
        }
        if constexpr (scaling::has_sub_scales)
            return find_two_levels(x, grids);
        else
            return find_independent(x, grids);
    }

private:
    // Where the weights of a sub-block may lie: at scale * level - min, both uncertain by as much as weights may be
    // off.
    struct grid {
        float scale, min, allowed;
    };
    using grid_lists = std::array<std::vector<grid>, sub_blocks>;

    // All levels from the lowest up. They have to be integers: of others some are missed, and then no grid is found.
    [[nodiscard]] static const std::vector<float>& levels() {
        static const std::vector<float> all = [] {
            std::vector<float> found;
            for (float x = codebook::low; x <= codebook::high; x += 1.0f) {
                const float level = codebook::level(codebook::code(x));
                if (found.empty() || found.back() != level) found.push_back(level);
            }
            return found;
        }();
        return all;
    }

    [[nodiscard]] static bool holds(const grid& at, std::span<const float> x) noexcept {
        const float inverse = kernels::reciprocal_or_zero(at.scale);
        return std::ranges::all_of(x, [&](float value) {
            const float level = codebook::level(codebook::code((value + at.min) * inverse));
            return std::fabs(at.scale * level - at.min - value) <= at.allowed;
        });
    }

    static constexpr std::size_t most_grids = 32, most_tries = 512;

    // The grids that hold a sub-block, from the finest: most_grids at most.
    [[nodiscard]] static std::vector<grid> grids_of(std::span<const float> x) {
        const auto [low, high] = std::ranges::minmax(x);
        const float extreme = std::max(high, -low);
        const float allowed = 0x1p-21f * extreme;  // rounded a few times since they were on the grid
        std::vector<grid> found;
        if (!std::isfinite(extreme)) return found;
        const auto add = [&](float scale, float min) {
            const bool has_place =
                (scaling::scale_has_sign || scale >= 0) && (scaling::min_has_sign || min >= -allowed);
            if (has_place && found.size() < most_grids && holds({scale, min, allowed}, x))
                found.push_back({scale, min, allowed});
        };
        const std::vector<float>& all = levels();
        if constexpr (has_min) {
            if (low == high && (low <= 0 || scaling::min_has_sign)) found.push_back({0.0f, -low, allowed});
            for (const float level : all)
                if (low == high && low > 0 && level > 0) add(low / level, 0.0f);
            const bool is_even = all.back() - all.front() == static_cast<float>(all.size() - 1) * (all[1] - all[0]);
            for (std::size_t distance = all.size() - 1; distance > 0 && low < high; --distance) {
                const float unit = (high - low) / static_cast<float>(distance), part = (x[0] - low) / unit;
                if (is_even && std::fabs(part - std::nearbyint(part)) * unit > 2 * allowed) continue;
                for (std::size_t a = 0; a + distance < all.size(); ++a) {
                    const float scale = (high - low) / (all[a + distance] - all[a]);
                    add(scale, scale * all[a] - low);
                }
            }
        } else if (extreme == 0) {
            found.push_back({0.0f, 0.0f, 0.0f});
        } else {
            const float widest = high >= -low ? high : low;
            std::vector<float> by_size(all);
            std::ranges::stable_sort(by_size, [](float a, float b) { return std::fabs(a) > std::fabs(b); });
            for (const float level : by_size)
                if (level != 0) add(widest / level, 0.0f);
        }
        return found;
    }

    // The sub-blocks in which what is decoded are the weights themselves.
    [[nodiscard]] static std::array<bool, sub_blocks> compare(std::span<const float, F::block_size> x,
                                                              const scales& s) {
        typename F::block block;
        std::array<float, F::block_size> decoded;
        F::store(s, x, block);
        F::decode(block, decoded);
        std::array<bool, sub_blocks> same;
        for (std::size_t g = 0; g < sub_blocks; ++g)
            same[g] = std::equal(decoded.begin() + static_cast<std::ptrdiff_t>(g * F::sub_block_size),
                                 decoded.begin() + static_cast<std::ptrdiff_t>((g + 1) * F::sub_block_size),
                                 x.begin() + static_cast<std::ptrdiff_t>(g * F::sub_block_size));
        return same;
    }

    [[nodiscard]] static std::optional<scales> find_independent(std::span<const float, F::block_size> x,
                                                                const grid_lists& grids) {
        std::array<std::size_t, sub_blocks> tried{};
        while (true) {
            std::array<float, sub_blocks> scale, min;
            for (std::size_t g = 0; g < sub_blocks; ++g) {
                scale[g] = grids[g][tried[g]].scale;
                min[g] = grids[g][tried[g]].min;
            }
            const scales s = scaling::quantize(scale, min);
            bool is_exact = true;
            const auto same = compare(x, s);
            for (std::size_t g = 0; g < sub_blocks; ++g) {
                if (same[g]) continue;
                is_exact = false;
                if (++tried[g] == grids[g].size()) return std::nullopt;
            }
            if (is_exact) return s;
        }
    }

    // How often `unit` goes into a value that is uncertain by `allowed`; nothing when that is no whole number in range.
    [[nodiscard]] static std::optional<int> multiple(float value, float unit, float allowed, int lowest,
                                                     int highest) noexcept {
        if (std::fabs(value) <= allowed) return 0;
        const float times = std::nearbyint(value * kernels::reciprocal_or_zero(unit));
        const bool fits = times >= static_cast<float>(lowest) && times <= static_cast<float>(highest) &&
                          std::fabs(times * unit - value) <= allowed;
        return fits ? std::optional(static_cast<int>(times)) : std::nullopt;
    }

    // Tries all super scales that the sub-block with the fewest grids allows.
    [[nodiscard]] static std::optional<scales> find_two_levels(std::span<const float, F::block_size> x,
                                                               const grid_lists& grids)
    requires scaling::has_sub_scales
    {
        std::size_t tries = most_tries;
        for (const grid& at : fewest(grids, [](const grid& of) { return of.scale != 0; }))
            for (int integer = scaling::sub_scale_high; integer >= scaling::sub_scale_low; --integer) {
                scales s{};
                s.super_scale = finite_scale<super>(integer == 0 ? 0.0f : at.scale / static_cast<float>(integer));
                grid_lists left;  // those whose scales are multiples
                for (std::size_t g = 0; g < sub_blocks && (g == 0 || !left[g - 1].empty()); ++g)
                    std::ranges::copy_if(grids[g], std::back_inserter(left[g]),
                                         [&](const grid& at) { return sub_scale(at, s).has_value(); });
                if (!left.back().empty() && take_mins(x, left, s, tries)) return s;
                if (tries == 0) return std::nullopt;
            }
        return std::nullopt;
    }

    [[nodiscard]] static std::optional<int> sub_scale(const grid& at, const scales& s) noexcept {
        return multiple(at.scale, static_cast<float>(s.super_scale), at.allowed, scaling::sub_scale_low,
                        scaling::sub_scale_high);
    }
    [[nodiscard]] static std::optional<int> sub_min(const grid& at, const scales& s) noexcept {
        return multiple(at.min, static_cast<float>(s.super_min), at.allowed, 0, scaling::sub_min_high);
    }

    // Of the sub-blocks with a grid that tells something, the grids of the one that has the fewest.
    template <class Tells>
    [[nodiscard]] static const std::vector<grid>& fewest(const grid_lists& grids, Tells tells) {
        return *std::ranges::min_element(grids, {}, [&](const std::vector<grid>& of) {
            return std::ranges::any_of(of, tells) ? of.size() : std::numeric_limits<std::size_t>::max();
        });
    }

    // The same for super minimums.
    [[nodiscard]] static bool take_mins(std::span<const float, F::block_size> x, const grid_lists& grids, scales& s,
                                        std::size_t& tries) {
        s.super_min = finite_scale<super>(0.0f);
        if (take_integers(x, grids, s)) return true;
        if constexpr (has_min) {
            for (const grid& at : fewest(grids, [](const grid& of) { return of.min > of.allowed; }))
                for (int integer = scaling::sub_min_high; integer > 0; --integer) {
                    if (tries == 0) return false;
                    --tries;
                    s.super_min = finite_scale<super>(at.min / static_cast<float>(integer));
                    if (take_integers(x, grids, s)) return true;
                }
        }
        return false;
    }

    // The integers of every sub-block; everything has to be exact then.
    [[nodiscard]] static bool take_integers(std::span<const float, F::block_size> x, const grid_lists& grids,
                                            scales& s) {
        for (std::size_t g = 0; g < sub_blocks; ++g) {
            const auto found =
                std::ranges::find_if(grids[g], [&](const grid& at) { return !has_min || sub_min(at, s); });
            if (found == grids[g].end()) return false;
            s.sub_scale[g] = static_cast<std::int8_t>(*sub_scale(*found, s));
            if constexpr (has_min) s.sub_min[g] = static_cast<std::uint8_t>(*sub_min(*found, s));
        }
        return std::ranges::all_of(compare(x, s), [](bool same) { return same; });
    }
};

}  // namespace tessera
