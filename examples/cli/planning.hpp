// Plans as the options want them: what `plan` and `quantize` share.
#pragma once

#include "command_files.hpp"
#include "commands.hpp"
#include "importances.hpp"
#include "tessera/app/open_model.hpp"
#include "tessera/select/budget.hpp"
#include "tessera/select/plan.hpp"

namespace cli {

/// Everything of the target's budget but its limit. Measures damage when there is no damage file.
tessera::select::budget budget_of(const tessera::any_model& model, const target_options& target,
                                  const encoding& encoding, const command_files& files, int threads);

/// Throws at what of names and target is known to fail without any work: a pin or a format to choose from that does not
/// exist, a size that not even the smallest formats would keep.
void require_plannable(const tessera::any_model& model, const named_formats& names, const target_options& target);

/// By names if there are some, else within the target; pins come first. Damage is predicted where there is a damage
/// file.
tessera::select::plan make_plan(const tessera::any_model& model, const named_formats& names,
                                const target_options& target, const encoding& encoding, const command_files& files,
                                int threads);

}  // namespace cli
