// What a quantization or a conversion is asked to do.
#pragma once

#include <filesystem>
#include <string>

#include "tessera/app/options.hpp"
#include "tessera/core/output_rule.hpp"
#include "tessera/tensor/simulating_sink.hpp"

namespace tessera::app {

/// Where a new model goes.
struct output_options {
    std::filesystem::path path{};
    existing_file existing = existing_file::refuse;
    std::filesystem::path chat_template{};  ///< takes the place of the model's own; empty: stays
    simulated_store simulate = simulated_store::none;
    simulated which = simulated::quantized;  ///< what is simulated, if anything is
    int threads = 0;
};

struct quantize_options {
    model_options model{};
    named_formats names{};         ///< these,
    std::filesystem::path plan{};  ///< a plan file,
    target_options target{};       ///< or a target
    importance_options importances{};
    std::filesystem::path report{};  ///< another output, which the caller writes; empty: none
    double seconds = 0;              ///< that all of it may take, by shortening texts; 0: no limit
    work_options work{};
    output_options output{};
};

/// Another container or full-precision type for the same weights.
struct convert_options {
    model_options model{};
    std::string type = "F16";
    output_options output{};
};

}  // namespace tessera::app
