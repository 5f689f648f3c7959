// Formats chosen by name: pins, one format for all, and mixes. What `plan` and `quantize` share.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "commands.hpp"
#include "name_pattern.hpp"
#include "tessera/app/open_model.hpp"
#include "tessera/select/plan.hpp"
#include "tessera/select/standard_mix.hpp"

namespace cli {

/// The rule of the first pin whose expression is found in a tensor's name.
class pinned_by_name {
public:
    /// Throws when a pin would change nothing in a model of these tensors: most likely a misspelt name.
    pinned_by_name(const std::vector<pin>& pins, std::span<const tessera::tensor_info> tensors);

    std::optional<tessera::type_layout> operator()(const tessera::tensor_info& info) const;

private:
    struct compiled {
        name_pattern expression;
        tessera::type_layout layout;
    };
    std::vector<compiled> pins_;
};

/// A plan in which the pins have decided, and everything else is open.
tessera::select::plan draft_with(const pinned_by_name& pins, std::span<const tessera::tensor_info> tensors);

/// One format for all tensors, or what a mix of llama.cpp gives them; pins come first. Mixes depend on whether
/// there are importances.
tessera::select::plan plan_by_name(const tessera::any_model& model, const named_formats& names,
                                   tessera::select::mix_model::importances columns);

}  // namespace cli
