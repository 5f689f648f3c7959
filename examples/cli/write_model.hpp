// Writing a model: what `convert` and `quantize` share.
#pragma once

#include <filesystem>

#include "commands.hpp"
#include "terminal.hpp"

namespace cli {

/// What would be written: the plan, tensor by tensor, and the file.
void print_planned(const app::quantization& job, const app::any_encoders& formats);

/// Writes the model, and tells on standard output what was done and, if there is a path for it, in a JSON file how each
/// tensor was encoded. `tell` is the command's.
void write_model(app::quantization& job, const std::filesystem::path& report_path, const app::any_encoders& formats,
                 terminal_listener& tell);

}  // namespace cli
