// The two kinds of choice: tensor by tensor, and of all tensors together.
#pragma once

#include <concepts>
#include <optional>
#include <span>

#include "tessera/core/tensor_info.hpp"
#include "tessera/select/plan.hpp"

namespace tessera::select {

/// Says which type a tensor should have, or nothing when it leaves that open. A lambda will do.
template <class R>
concept type_rule = requires(const R& rule, const tensor_info& info) {
    { rule(info) } -> std::convertible_to<std::optional<type_layout>>;
};

/// Decides together about the tensors that a draft still leaves open (reason::unchanged); those that are settled stay
/// as they are, and count. `available` are the types for rows that a wanted type does not take.
template <class S>
concept selection_strategy = requires(const S& strategy, plan& draft, std::span<const type_layout> available) {
    strategy.settle(draft, available);
};

}  // namespace tessera::select
