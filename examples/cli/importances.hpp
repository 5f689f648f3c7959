// Importances from a file, and what is said about them before a model is written.
#pragma once

#include <filesystem>
#include <optional>
#include <span>

#include "commands.hpp"
#include "tessera/calibrate/imatrix_file.hpp"
#include "tessera/core/metadata.hpp"
#include "tessera/core/tensor_info.hpp"
#include "tessera/select/plan.hpp"

namespace cli {

struct loaded_importances {
    std::filesystem::path path;
    tessera::imatrix_file file;
};

/// Reads the importance matrix and blends experts that few tokens reached, which it tells on standard output. Nothing
/// when the options name no file. Throws when the file is another model's.
std::optional<loaded_importances> load_importances(const importance_options& options,
                                                   std::span<const tessera::tensor_info> tensors);

/// Tells on standard output what is missing for the tensors that the plan encodes, and what will be done about it.
/// `importances` may be null.
void print_gaps(const tessera::select::plan& plan, const loaded_importances* importances);

/// The source's metadata and, where there are importances, the keys that tell of them.
tessera::metadata noted_metadata(const tessera::metadata& source, const loaded_importances* importances);

}  // namespace cli
