// Writing a model by a plan: what `convert` and `quantize` share.
#pragma once

#include "commands.hpp"
#include "importances.hpp"
#include "tessera/pipeline/open_model.hpp"
#include "tessera/select/plan.hpp"

namespace cli {

/// Writes `model` to a GGUF file as the plan says, with columns weighed by importances if there are some, and tells on
/// standard output what was done; on a dry run only tells what would be done.
void write_model(const tessera::any_model& model, const tessera::select::plan& plan, const output_options& output,
                 const loaded_importances* importances = nullptr);

}  // namespace cli
