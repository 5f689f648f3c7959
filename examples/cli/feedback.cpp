#include "feedback.hpp"

#include "terminal.hpp"
#include "tessera/damage/measure_feedback_gains.hpp"
#include "tessera/format/builtin.hpp"
#include "tessera/quantize/quantize_layer_by_layer.hpp"
#include "tessera/quantize/quantize_with_feedback.hpp"

namespace cli {

using namespace tessera;

namespace {

rare_experts rare_in(const loaded_importances& importances) {
    return {importances.enough_tokens, &importances.file.importances};
}

}  // namespace

feedback_gains gains_of(const any_model& model, const loaded_importances& importances, const select::menu& menu,
                        int threads) {
    progress_line line;
    return measure_feedback_gains(model, *importances.text(), menu, fallback_formats::layouts,
                                  {.threads = threads, .rare = rare_in(importances)}, line);
}

std::vector<feedback_report> write_with_feedback(const any_model& model, const select::plan& plan,
                                                 const metadata& properties, const loaded_importances& importances,
                                                 gguf::writer& file, feedback_inputs inputs, int threads) {
    progress_line line;
    const feedback_text text = *importances.text();
    const feedback_options options{.threads = threads, .rare = rare_in(importances)};
    if (inputs == feedback_inputs::quantized)
        return quantize_layer_by_layer(model, plan, properties, text, file, options, line);
    return quantize_with_feedback(model, plan, properties, text, file, options, line);
}

}  // namespace cli
