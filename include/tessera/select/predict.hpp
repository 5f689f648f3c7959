// What a plan will cost, by a damage table.
#pragma once

#include <algorithm>
#include <optional>
#include <string_view>

#include "tessera/core/tied_table.hpp"
#include "tessera/select/damage_table.hpp"
#include "tessera/select/plan.hpp"

namespace tessera::select {

/// Whether the plan writes one table for embeddings and output.
[[nodiscard]] inline bool is_tied(const plan& plan) noexcept {
    return std::none_of(plan.choices.begin(), plan.choices.end(),
                        [](const choice& c) { return c.target.name == output_name; });
}

/// Fills in a choice's damage: none where the type stays what it is or the tensor stays in full precision, else what
/// the table says, nothing where it says nothing. `tied` tells whether the plan writes one table for embeddings and
/// output, which then does the damage of both.
inline void predict_damage(choice& made, const damage_table& table, bool tied) {
    const auto known = [&](std::string_view name) {
        const tensor_damage* entry = table.find(name);
        return entry == nullptr ? std::nullopt : entry->damage(made.target.type());
    };
    if (made.why == reason::kept || made.target.type() == made.source.id) {
        made.damage = 0.0;
        return;
    }
    made.damage = known(made.target.name);
    if (!tied || made.target.name != embedding_name || table.find(output_name) == nullptr) return;
    const std::optional<double> as_output = known(output_name);
    made.damage = made.damage && as_output ? std::optional(*made.damage + *as_output) : std::nullopt;
}

/// The same for every choice of a plan.
inline void predict_damage(plan& plan, const damage_table& table) {
    const bool tied = is_tied(plan);
    for (choice& c : plan.choices) predict_damage(c, table, tied);
}

}  // namespace tessera::select
