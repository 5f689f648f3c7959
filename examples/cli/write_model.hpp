// Writing a model by a plan: what `convert` and `quantize` share.
#pragma once

#include <filesystem>

#include "command_files.hpp"
#include "commands.hpp"
#include "importances.hpp"
#include "tessera/app/open_model.hpp"
#include "tessera/core/metadata.hpp"
#include "tessera/select/plan.hpp"

namespace cli {

/// Writes `model` to a GGUF file as the plan and the encoding say, with `properties` in the place of its own metadata,
/// and tells on standard output what was done and, if there is a path for it, in a JSON file how each tensor was
/// encoded; on a dry run only tells what would be done.
void write_model(const tessera::any_model& model, const tessera::select::plan& plan,
                 const tessera::metadata& properties, const output_options& output, const command_files& files,
                 const encoding& encoding = {}, const std::filesystem::path& report_path = {});

}  // namespace cli
