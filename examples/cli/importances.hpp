// Importances from a file, and what is said about them before a model is written.
#pragma once

#include <filesystem>
#include <optional>

#include "commands.hpp"
#include "tessera/calibrate/imatrix_file.hpp"
#include "tessera/select/plan.hpp"

namespace cli {

struct loaded_importances {
    std::filesystem::path path;
    tessera::imatrix_file file;
};

/// Reads the importance matrix, blends experts that few tokens reached, and tells on standard output what is missing for
/// the tensors that the plan encodes and what will be done about it. Nothing when the options name no file. Throws when
/// the file is another model's.
std::optional<loaded_importances> load_importances(const importance_options& options, const tessera::select::plan& plan);

}  // namespace cli
