// A schedule for encoders that need text: calibration and encoding in one pass over the model, input by input.
#pragma once

#include <cstddef>

#include "tessera/calibrate/input_knowledge.hpp"
#include "tessera/core/token_windows.hpp"
#include "tessera/decoder/model.hpp"
#include "tessera/quantize/learning_pass.hpp"
#include "tessera/tensor/overlay_source.hpp"
#include "tessera/tensor/untied_source.hpp"

namespace tessera {

/// The text goes through the original model layer by layer, and a matrix is encoded when its input is there. What no
/// input is seen of is encoded with nothing known.
///
/// Memory is the activations of the text and, for encoders that need Gram matrices, less than four floats per pair of
/// columns of one input. Throws as the decoder does.
struct from_text {
    divided_windows text;
    learning_options learning = {};

    template <class Job>
    void run(Job& job) const {
        using shown_source = untied_source<typename Job::source_type>;
        const shown_source shown(job.source());
        const overlay_source<shown_source> original(shown);  // as other schedules run: compiled once
        const decoder::model model(original, decoder::model_options{.threads = job.threads()});
        decoder::activations state = model.embed(text.all());
        detail::expect_passes(job, model, text.all().tokens().size(), 1);
        detail::learning_pass pass(job, text.used.tokens().size(), learning);
        for (std::size_t l = 0; l < model.spec().layers.size(); ++l) model.run_layer(l, state, pass);
        model.observe_output(state.view(), pass);
        pass.encode_unreached();
    }
};

}  // namespace tessera
