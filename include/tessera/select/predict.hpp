// What a plan will cost, by a damage table.
#pragma once

#include <algorithm>
#include <optional>
#include <string_view>

#include "tessera/select/damage_table.hpp"
#include "tessera/select/plan.hpp"
#include "tessera/select/tied_table.hpp"

namespace tessera::select {

/// Does the plan write one table for embeddings and output?
[[nodiscard]] inline bool is_tied(const plan& plan) noexcept {
    return std::none_of(plan.choices.begin(), plan.choices.end(),
                        [](const choice& c) { return c.target.name == output_name; });
}

/// Fills in every choice's damage: none where the type stays what it is or the tensor stays in full precision, else
/// what the table says, nothing where it says nothing. A tied table does the damage of both its roles.
inline void predict_damage(plan& plan, const damage_table& table) {
    const auto known = [&](std::string_view name, const choice& c) {
        const tensor_damage* entry = table.find(name);
        return entry == nullptr ? std::nullopt : entry->damage(c.target.type());
    };
    const bool tied = is_tied(plan) && table.find(output_name) != nullptr;
    for (choice& c : plan.choices) {
        if (c.why == reason::kept || c.target.type() == c.source.id) {
            c.damage = 0.0;
            continue;
        }
        c.damage = known(c.target.name, c);
        if (!tied || c.target.name != embedding_name) continue;
        const std::optional<double> as_output = known(output_name, c);
        c.damage = c.damage && as_output ? std::optional(*c.damage + *as_output) : std::nullopt;
    }
}

}  // namespace tessera::select
