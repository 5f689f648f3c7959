#include "feedback.hpp"

#include "terminal.hpp"
#include "tessera/format/builtin.hpp"
#include "tessera/pipeline/measure_feedback_gains.hpp"
#include "tessera/pipeline/quantize_layer_by_layer.hpp"
#include "tessera/pipeline/quantize_with_feedback.hpp"

namespace cli {

using namespace tessera;

feedback_gains gains_of(const any_model& model, const feedback_text& text, const select::menu& menu, int threads) {
    progress_line line;
    return measure_feedback_gains(model, text, menu, fallback_formats::layouts, {.threads = threads}, line);
}

std::vector<feedback_report> write_with_feedback(const any_model& model, const select::plan& plan,
                                                 const metadata& properties, const feedback_text& text,
                                                 gguf::writer& file, feedback_inputs inputs, int threads) {
    progress_line line;
    if (inputs == feedback_inputs::quantized)
        return quantize_layer_by_layer(model, plan, properties, text, file, {.threads = threads}, line);
    return quantize_with_feedback(model, plan, properties, text, file, {.threads = threads}, line);
}

}  // namespace cli
