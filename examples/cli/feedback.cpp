#include "feedback.hpp"

#include "terminal.hpp"
#include "tessera/encode/best_of.hpp"
#include "tessera/encode/error_feedback.hpp"
#include "tessera/format/builtin.hpp"
#include "tessera/quantize/from_quantized_inputs.hpp"
#include "tessera/quantize/from_text.hpp"
#include "tessera/quantize/quantize.hpp"

namespace cli {

using namespace tessera;

namespace {

const best_of encoder{weighted{}, error_feedback{}};

learning_options learning(const loaded_importances& importances) {
    return {.rare = {importances.enough_tokens, &importances.file.importances}};
}

template <class Measure>
select::damage_table measure_with(const any_model& model, const loaded_importances& importances,
                                  const token_windows& windows, const select::menu& menu, const Measure& measure,
                                  int threads, progress_callback report) {
    select::damage_table table =
        measure_damage(model, encoder, from_text{*importances.text(), learning(importances)}, windows, menu,
                       fallback_formats::layouts, measure, {.evaluate = {.threads = threads}}, report);
    table.encoder = error_feedback::name;
    return table;
}

}  // namespace

select::damage_table damage_with_feedback(const any_model& model, const loaded_importances& importances,
                                          const token_windows& windows, const select::menu& menu, const direct& measure,
                                          int threads, progress_callback report) {
    return measure_with(model, importances, windows, menu, measure, threads, report);
}

select::damage_table damage_with_feedback(const any_model& model, const loaded_importances& importances,
                                          const token_windows& windows, const select::menu& menu,
                                          const perturbation& measure, int threads, progress_callback report) {
    return measure_with(model, importances, windows, menu, measure, threads, report);
}

std::vector<tensor_report> write_with_feedback(const any_model& model, const select::plan& plan,
                                               const metadata& properties, const loaded_importances& importances,
                                               gguf::writer& file, feedback_inputs inputs, int threads) {
    progress_line line;
    const auto run = [&](const auto& schedule) {
        return quantize(model, plan, encoder, schedule, file, properties, {.threads = threads}, line);
    };
    if (inputs == feedback_inputs::quantized)
        return run(from_quantized_inputs{*importances.text(), learning(importances)});
    return run(from_text{*importances.text(), learning(importances)});
}

}  // namespace cli
