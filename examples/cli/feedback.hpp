// Error feedback: the one place that compiles it, which takes a while.
#pragma once

#include <cstddef>
#include <vector>

#include "commands.hpp"
#include "importances.hpp"
#include "tessera/app/open_model.hpp"
#include "tessera/core/metadata.hpp"
#include "tessera/core/progress.hpp"
#include "tessera/core/token_windows.hpp"
#include "tessera/damage/measure_damage.hpp"
#include "tessera/gguf/writer.hpp"
#include "tessera/quantize/tensor_report.hpp"
#include "tessera/select/damage_table.hpp"
#include "tessera/select/menu.hpp"
#include "tessera/select/plan.hpp"

namespace cli {

/// tessera::measure_damage with error feedback. The importances know their text.
tessera::select::damage_table damage_with_feedback(const tessera::any_model& model,
                                                   const loaded_importances& importances,
                                                   const tessera::token_windows& windows,
                                                   const tessera::select::menu& menu, const tessera::direct& measure,
                                                   int threads, tessera::progress_callback report);
tessera::select::damage_table damage_with_feedback(const tessera::any_model& model,
                                                   const loaded_importances& importances,
                                                   const tessera::token_windows& windows,
                                                   const tessera::select::menu& menu,
                                                   const tessera::perturbation& measure, int threads,
                                                   tessera::progress_callback report);

/// tessera::quantize with error feedback into a GGUF file, from these inputs, with a progress line.
std::vector<tessera::tensor_report> write_with_feedback(
    const tessera::any_model& model, const tessera::select::plan& plan, const tessera::metadata& properties,
    const loaded_importances& importances, tessera::gguf::writer& file, feedback_inputs inputs, int threads);

}  // namespace cli
