// Texts run through a model: what `calibrate` writes, and what other commands use at once.
#pragma once

#include <filesystem>

#include "calibration_text.hpp"
#include "commands.hpp"
#include "tessera/app/open_model.hpp"
#include "tessera/calibrate/calibrate.hpp"
#include "tessera/calibrate/imatrix_file.hpp"
#include "tessera/core/output_rule.hpp"

namespace cli {

/// Runs the windows of the text that are used through the model. The checkpoint as in
/// tessera::calibrate_options.
tessera::calibration run_calibration(const tessera::any_model& model, const calibration_text& text, int threads,
                                     const std::filesystem::path& checkpoint = {},
                                     tessera::existing_file unfit_checkpoint = tessera::existing_file::refuse);

/// The importances, with all windows of the text.
tessera::imatrix_file make_imatrix(const tessera::calibration& result, const calibration_text& text);

}  // namespace cli
