// Plans as the options want them: what `plan` and `quantize` share.
#pragma once

#include "commands.hpp"
#include "importances.hpp"
#include "tessera/pipeline/open_model.hpp"
#include "tessera/select/budget.hpp"
#include "tessera/select/plan.hpp"

namespace cli {

/// Everything of the target's budget but its limit. Measures damage when there is no damage file.
tessera::select::budget budget_of(const tessera::any_model& model, const target_options& target,
                                  const encoding& encoding, int threads);

/// By names if there are some, else within the target; pins come first. Damage is predicted where there is a damage file.
tessera::select::plan make_plan(const tessera::any_model& model, const named_formats& names, const target_options& target,
                                const encoding& encoding, int threads);

}  // namespace cli
