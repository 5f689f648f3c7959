// The damage of tensors that the forward pass does not reach, by that of others.
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tessera/core/block_index.hpp"
#include "tessera/core/tied_table.hpp"
#include "tessera/select/damage_curve.hpp"
#include "tessera/select/damage_table.hpp"

namespace tessera::detail {

// The damage of a tensor's errors, and how it was measured.
struct tensor_curve {
    std::string name{};
    select::damage_curve curve{{}};
};

// What follows "blk.N." in the name of a layer's tensor; nothing for other tensors.
[[nodiscard]] inline std::string_view part_of_layer(std::string_view name) {
    return block_index(name) ? name.substr(name.find('.', 4) + 1) : std::string_view();
}

// The curve that a tensor borrows when the forward pass does not reach it: that of the same part in the last layer that
// has it, of the embeddings and the output for those that layers for multi-token prediction have of their own, else one
// with the median of all sensitivities. `measured` are in the order of the forward pass.
[[nodiscard]] inline tensor_curve borrowed_curve(std::string_view name, std::span<const tensor_curve> measured) {
    const std::string_view part = part_of_layer(name);
    const auto is_lender = [&](const tensor_curve& other) {
        if (part.ends_with("nextn.embed_tokens.weight")) return other.name == embedding_name;
        if (part.ends_with("nextn.shared_head_head.weight")) return other.name == output_name;
        return !part.empty() && part_of_layer(other.name) == part;
    };
    const auto lender = std::find_if(measured.rbegin(), measured.rend(), is_lender);
    if (lender != measured.rend()) return *lender;
    std::vector<double> sensitivities;
    for (const tensor_curve& other : measured) sensitivities.push_back(other.curve.sensitivity().first);
    const auto middle = sensitivities.begin() + static_cast<std::ptrdiff_t>(sensitivities.size() / 2);
    std::ranges::nth_element(sensitivities, middle);
    constexpr double error = 0.1;  // any small one: damage follows the square
    return {std::string(select::tensor_damage::typical),
            select::damage_curve({{.relative_error = error, .damage = *middle * error * error}})};
}

}  // namespace tessera::detail
