// Ablation: what other formats for some tensors of a plan would change.
#pragma once

#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <type_traits>
#include <utility>

#include "tessera/core/tensor_info.hpp"
#include "tessera/core/type_id.hpp"
#include "tessera/measure/kl_divergence.hpp"
#include "tessera/measure/statistics.hpp"
#include "tessera/select/plan.hpp"
#include "tessera/select/strategies.hpp"

namespace tessera {

/// A plan and its divergence, to compare variants of it with.
struct measured_plan {
    select::plan plan;
    kl_divergence divergence;
};

/// The effect of a change of some tensors.
struct ablation {
    std::size_t tensors = 0;  ///< that changed; 0: the rest says nothing
    std::int64_t bytes = 0;   ///< more than before
    estimate kld;             ///< mean divergence with the change
    estimate change;          ///< of that mean, token by token
};

/// Gives every tensor of the plan that is not kept in full precision the type that `change(choice)` says, if it says
/// one and it is another, and measures the result with meter.measure(plan, samples). Rows that do not fit get the next
/// larger type of `available`.
template <class Meter, class Change>
requires std::convertible_to<std::invoke_result_t<const Change&, const select::choice&>, std::optional<type_layout>>
[[nodiscard]] ablation ablate(Meter& meter, const measured_plan& before, const Change& change,
                              std::span<const type_layout> available) {
    ablation result;
    select::plan variant = before.plan;
    for (select::choice& made : variant.choices) {
        if (made.why == select::reason::kept) continue;
        const std::optional<type_layout> wanted = change(std::as_const(made));
        if (!wanted) continue;
        const tensor_info old = made.target;
        select::settle(made, *wanted, select::reason::requested, available);
        if (made.target.type() == old.type()) continue;
        ++result.tensors;
        result.bytes += static_cast<std::int64_t>(made.target.bytes()) - static_cast<std::int64_t>(old.bytes());
    }
    if (result.tensors == 0) return result;
    const kl_divergence after = meter.measure(variant, meter.samples());
    result.kld = after.result().mean;
    result.change = mean_change(before.divergence.per_token(), after.per_token());
    return result;
}

/// Of formats in any order, the one with the most bits per weight below those of `from` (steps < 0) or the fewest above
/// (steps > 0); among equals the first. Nothing where there is none that takes the rows.
[[nodiscard]] inline std::optional<type_layout> neighbour(std::span<const type_layout> formats, const tensor_info& from,
                                                          int steps) noexcept {
    const auto above = [&](const type_layout& a, const type_layout& b) {  // in the direction of the steps
        return (a.bits_per_weight() - b.bits_per_weight()) * (steps < 0 ? -1.0 : 1.0);
    };
    std::optional<type_layout> best;
    for (const type_layout& layout : formats) {
        if (from.columns() % layout.block_size != 0 || above(layout, from.layout) <= 0) continue;
        if (!best || above(layout, *best) < 0) best = layout;
    }
    return best;
}

/// The format whose bits per weight are nearest to `bits`, of those that take the tensor's rows; of two the smaller.
[[nodiscard]] inline std::optional<type_layout> nearest_bits(std::span<const type_layout> formats,
                                                             const tensor_info& info, double bits) noexcept {
    const auto distance = [&](const type_layout& layout) {
        return std::pair(std::abs(layout.bits_per_weight() - bits), layout.bits_per_weight());
    };
    std::optional<type_layout> best;
    for (const type_layout& layout : formats)
        if (info.columns() % layout.block_size == 0 && (!best || distance(layout) < distance(*best))) best = layout;
    return best;
}

}  // namespace tessera
