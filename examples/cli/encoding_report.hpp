// What is told of the encoding of a model.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "commands.hpp"
#include "tessera/quantize/tensor_report.hpp"
#include "tessera/select/plan.hpp"

namespace cli {

/// How a model was encoded, tensor by tensor in the plan's order.
struct encoding_report {
    app::encoder_kind encoder;
    app::feedback_inputs inputs;  ///< of feedback
    std::vector<tessera::tensor_report> tensors;
};

/// The errors over all tensors that changed and of the worst of them, what was encoded without loss, and what became of
/// error feedback, on standard output.
void print_encoding(const tessera::select::plan& plan, const encoding_report& report);

/// The same of every tensor that was encoded, as JSON.
std::string encoding_json(const tessera::select::plan& plan, const encoding_report& report);

}  // namespace cli
