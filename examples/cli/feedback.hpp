// Error feedback: the one place that compiles it, which takes a while.
#pragma once

#include <vector>

#include "commands.hpp"
#include "importances.hpp"
#include "tessera/app/open_model.hpp"
#include "tessera/core/metadata.hpp"
#include "tessera/core/progress.hpp"
#include "tessera/damage/feedback_gains.hpp"
#include "tessera/gguf/writer.hpp"
#include "tessera/quantize/feedback_report.hpp"
#include "tessera/select/menu.hpp"
#include "tessera/select/plan.hpp"

namespace cli {

/// tessera::measure_feedback_gains with a progress line. The importances know their text.
tessera::feedback_gains gains_of(const tessera::any_model& model, const loaded_importances& importances,
                                 const tessera::select::menu& menu, int threads);

/// tessera::quantize_with_feedback into a GGUF file, or quantize_layer_by_layer for quantized inputs, with a progress
/// line.
std::vector<tessera::feedback_report> write_with_feedback(
    const tessera::any_model& model, const tessera::select::plan& plan, const tessera::metadata& properties,
    const loaded_importances& importances, tessera::gguf::writer& file, feedback_inputs inputs, int threads);

}  // namespace cli
