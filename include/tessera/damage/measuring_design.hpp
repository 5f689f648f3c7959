// How often which part of a model runs while its damage is measured, so that all of it takes a given number of passes.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <map>
#include <numeric>
#include <set>
#include <span>
#include <string_view>
#include <vector>

#include "tessera/core/block_index.hpp"
#include "tessera/core/tensor_info.hpp"
#include "tessera/core/tied_table.hpp"
#include "tessera/damage/borrowed_curve.hpp"
#include "tessera/decoder/model_spec.hpp"
#include "tessera/decoder/token_work.hpp"
#include "tessera/select/rules.hpp"

namespace tessera {

/// Where in the forward pass a tensor acts.
enum class damage_role { embedding, layer, output };

/// Tensors that act at the same place. They are measured together: in a run from there on, every window of the text has
/// one of their edits.
struct measuring_group {
    damage_role role;
    double run_passes;        ///< what a run from there on costs, in passes of the whole model
    std::size_t tensors;      ///< how many they are
    std::size_t pattern = 0;  ///< a number that layers with the same kinds of tensors share
};

/// The groups of a model with these layers, in the order of the forward pass: embeddings, layers that have tensors to
/// be quantized, output.
[[nodiscard]] inline std::vector<measuring_group> measuring_groups(std::span<const tensor_info> tensors,
                                                                   const decoder::model_spec& spec) {
    const std::size_t layers = spec.layers.size();
    std::vector<double> work = decoder::token_work(tensors, layers, spec.experts.used_share());
    work.back() /= 2;  // half of the positions are scored
    const double all = std::accumulate(work.begin(), work.end(), 0.0);
    std::vector<std::set<std::string_view>> kinds(layers);
    std::size_t embeddings = 0, outputs = tied_table(tensors) != nullptr ? 1 : 0;
    for (const tensor_info& info : tensors) {
        if (info.name == embedding_name) ++embeddings;
        if (info.name == output_name) ++outputs;
        if (const auto layer = block_index(info.name); layer && *layer < layers && !select::stays_full_precision(info))
            kinds[*layer].insert(detail::part_of_layer(info.name));
    }
    std::vector<measuring_group> groups;
    if (embeddings > 0) groups.push_back({damage_role::embedding, 1.0, embeddings});
    std::map<std::set<std::string_view>, std::size_t> patterns;
    double left = all;
    for (std::size_t l = 0; l < layers; left -= work[l++])
        if (!kinds[l].empty())
            groups.push_back({damage_role::layer, left / all, kinds[l].size(),
                              patterns.try_emplace(kinds[l], patterns.size()).first->second});
    if (outputs > 0) groups.push_back({damage_role::output, left / all, outputs});
    return groups;
}

/// How a group is measured.
struct group_design {
    std::size_t points = 0;  ///< of each tensor's curve: all, the middle one alone, or none; then it is interpolated
    std::size_t runs = 0;    ///< from its place on

    friend bool operator==(const group_design&, const group_design&) = default;
};

/// What measuring may take, and what it has.
struct measuring_limits {
    static constexpr double default_passes = 40;

    std::size_t points = 3;   ///< of a curve that is measured whole
    std::size_t windows = 1;  ///< of text
    /// Windows that an edit needs at least. What they have in common with the others is known from all edits, so few
    /// tell much (see fit_damages).
    std::size_t least_windows = 1;
    double passes = default_passes;

    /// For windows of so many tokens: an edit has 256 scored ones at least.
    [[nodiscard]] static measuring_limits on(std::size_t windows, std::size_t window, std::size_t points,
                                             double passes) {
        constexpr std::size_t least_tokens = 512;
        return {points, windows, (least_tokens + window - 1) / window, passes};
    }
};

/// What measuring takes beside the edits: the reference, and the states below the layer at work.
inline constexpr double passes_beside_edits = 2;

/// Passes that a design takes.
[[nodiscard]] inline double passes_of(std::span<const measuring_group> groups, std::span<const group_design> design) {
    double sum = passes_beside_edits;
    for (std::size_t g = 0; g < groups.size(); ++g) sum += groups[g].run_passes * static_cast<double>(design[g].runs);
    return sum;
}

/// Passes that measuring takes where every edit has every window.
[[nodiscard]] inline double all_passes(std::span<const measuring_group> groups, std::size_t points) {
    double sum = passes_beside_edits;
    for (const measuring_group& g : groups) sum += g.run_passes * static_cast<double>(g.tensors * points);
    return sum;
}

/// The design for a number of passes. In this order, as far as they go: the first and the last layer of each
/// pattern, which are measured whatever that takes; whole curves of the last one, which are cheap and lend the others
/// their shape; more layers, each in the middle of the widest gap; whole curves instead of one point, of the tables and
/// of three layers of each pattern, lenders as well, then of the others from the last on; more runs, in which edits
/// have more windows, up to all. What does not fit any more is left out, so the passes are never exceeded but by the
/// first and last layers and the tables.
[[nodiscard]] inline std::vector<group_design> design_measuring(std::span<const measuring_group> groups,
                                                                const measuring_limits& limits) {
    std::vector<group_design> design(groups.size());
    // The output's edits cost no layers, and are not divided.
    const auto least = [&](std::size_t g, std::size_t points) {
        const std::size_t edits = groups[g].tensors * points;
        if (groups[g].role == damage_role::output) return edits;
        const std::size_t wanted = edits * std::max<std::size_t>(limits.least_windows, 1);
        return std::min(edits, (wanted + limits.windows - 1) / std::max<std::size_t>(limits.windows, 1));
    };
    double left = limits.passes - passes_beside_edits;
    const auto set = [&](std::size_t g, group_design next) {
        left -= groups[g].run_passes * (static_cast<double>(next.runs) - static_cast<double>(design[g].runs));
        design[g] = next;
    };
    const auto try_set = [&](std::size_t g, group_design next) {
        constexpr double rounding = 1e-9;
        const double more =
            groups[g].run_passes * (static_cast<double>(next.runs) - static_cast<double>(design[g].runs));
        if (more > left + rounding) return false;
        set(g, next);
        return true;
    };

    std::vector<std::size_t> layers, tables;
    for (std::size_t g = 0; g < groups.size(); ++g)
        (groups[g].role == damage_role::layer ? layers : tables).push_back(g);
    const auto at_least = [&](std::size_t g, std::size_t points) { return group_design{points, least(g, points)}; };
    for (const std::size_t g : tables) set(g, at_least(g, 1));
    std::map<std::size_t, std::vector<std::size_t>> patterns;
    for (const std::size_t g : layers) patterns[groups[g].pattern].push_back(g);
    for (const auto& [pattern, alike] : patterns)
        for (const std::size_t g : {alike.front(), alike.back()}) set(g, at_least(g, 1));
    for (const auto& [pattern, alike] : patterns)  // a shape for every kind, where it costs least
        (void)try_set(alike.back(), at_least(alike.back(), limits.points));
    for (;;) {  // the middle of the widest gap in a pattern, the last of those
        std::size_t middle = 0, widest = 1;
        for (const auto& [pattern, alike] : patterns)
            for (std::size_t i = 0, before = 0; i < alike.size(); ++i) {
                if (design[alike[i]].points == 0) continue;
                if (i - before >= std::max<std::size_t>(widest, 2)) {
                    widest = i - before;
                    middle = alike[(before + i + 1) / 2];
                }
                before = i;
            }
        if (widest < 2 || !try_set(middle, at_least(middle, 1))) break;
    }

    // Whole curves of some layers, spread evenly.
    if (limits.points > 1) {
        for (const std::size_t g : tables) (void)try_set(g, at_least(g, limits.points));
        for (const auto& [pattern, alike] : patterns) {
            const std::size_t lenders = std::min<std::size_t>(3, alike.size());
            for (std::size_t i = 0; i < lenders; ++i)
                if (const std::size_t g = alike[(2 * i + 1) * alike.size() / (2 * lenders)]; design[g].points == 1)
                    (void)try_set(g, at_least(g, limits.points));
        }
    }
    // Whole curves of the others, the cheap ones first.
    for (auto g = layers.rbegin(); g != layers.rend(); ++g)
        if (design[*g].points == 1) (void)try_set(*g, at_least(*g, limits.points));
    // More windows for all alike.
    for (bool has_grown = true; has_grown;) {
        has_grown = false;
        for (std::size_t g = groups.size(); g-- > 0;)
            if (design[g].runs > 0 && design[g].runs < groups[g].tensors * design[g].points)
                has_grown |= try_set(g, {design[g].points, design[g].runs + 1});
    }
    return design;
}

/// Which of a group's edits a window has in a run. The runs of a window have different edits, and all edits about as
/// many windows. Every group deals them out to the windows in another order, so that any two edits can be compared
/// through windows and edits in common (see fit_damages).
[[nodiscard]] constexpr std::size_t edit_in_window(std::size_t group, std::size_t window, std::size_t windows,
                                                   std::size_t run, std::size_t runs, std::size_t edits) noexcept {
    if (runs == edits) return run;
    const std::size_t step =
        group % 5 + 1;  // the order: every step-th window from the first on, from the second on, ...
    std::size_t place = window / step;
    for (std::size_t first = 0; first < window % step; ++first) place += (windows - first + step - 1) / step;
    return (place * runs + run + group) % edits;
}

}  // namespace tessera
