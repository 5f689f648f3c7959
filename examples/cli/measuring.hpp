// What needs the model to run: damage tables, refined plans, ablations. The one place that compiles these, which takes
// a while.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "command_files.hpp"
#include "commands.hpp"
#include "importances.hpp"
#include "tessera/app/open_model.hpp"
#include "tessera/core/tensor_info.hpp"
#include "tessera/core/token_windows.hpp"
#include "tessera/damage/ablate.hpp"
#include "tessera/select/budget.hpp"
#include "tessera/select/damage_table.hpp"
#include "tessera/select/plan.hpp"

namespace cli {

/// The windows to measure on: those of the options' text, or else those that the calibration held out. Throws when
/// there are neither.
tessera::token_windows measuring_windows(const tessera::any_model& model, const measure_options& options,
                                         const loaded_importances* importances);

/// Reads the damage file if there is one; else measures, and writes it if it has a name. Without a name it is kept as
/// `files` says.
tessera::select::damage_table obtain_damage(const tessera::any_model& model, const target_options& options,
                                            const encoding& encoding, const command_files& files, int threads);

/// The budget's plan, improved by measured swaps.
tessera::select::plan refine(const tessera::any_model& model, const tessera::select::plan& draft,
                             const tessera::select::budget& budget, const target_options& options,
                             const loaded_importances* importances, int threads);

/// Measures a plan and then each change of it.
struct measured_changes {
    tessera::measured_plan before;
    std::vector<tessera::ablation> changes;
};
using change_rule = std::function<std::optional<tessera::type_layout>(const tessera::select::choice&)>;
measured_changes measure_changes(const tessera::any_model& model, const tessera::select::plan& plan,
                                 const std::vector<change_rule>& changes, const measure_options& options,
                                 const loaded_importances* importances, int threads);

}  // namespace cli
