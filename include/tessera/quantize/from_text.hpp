// A schedule for encoders that need text: calibration and encoding in one pass over the model, input by input.
#pragma once

#include <cstddef>

#include "tessera/calibrate/input_knowledge.hpp"
#include "tessera/core/token_windows.hpp"
#include "tessera/decoder/activations.hpp"
#include "tessera/decoder/model.hpp"
#include "tessera/decoder/tile_memory.hpp"
#include "tessera/quantize/learning_pass.hpp"
#include "tessera/tensor/overlay_source.hpp"
#include "tessera/tensor/untied_source.hpp"

namespace tessera {

/// The text goes through the original model layer by layer, and a matrix is encoded when its input is there. What no
/// input is seen of is encoded with nothing known. Where the job is kept, a run that was killed goes on with the layer
/// that it was at, and what of that was done.
///
/// Memory is what `memory` says of the activations of the text and of one input, and a few tiles of them; for encoders
/// that need Gram matrices, two and a half floats per pair of columns of one input. Throws as the decoder does.
struct from_text {
    divided_windows text;
    learning_options learning = {};
    decoder::tile_memory* memory = nullptr;  ///< where activations are kept; null: all in memory

    template <class Job>
    void run(Job& job) const {
        using shown_source = untied_source<typename Job::source_type>;
        const shown_source shown(job.source());
        const overlay_source<shown_source> original(shown);  // as other schedules run: compiled once
        const decoder::model model(original, decoder::model_options{.threads = job.threads()});
        decoder::activations state = model.embed(text.all(), memory);
        detail::expect_passes(job, model, text.all().tokens().size(), 1);
        detail::learning_pass pass(job, text.used.tokens().size(), learning);
        const std::size_t layers = model.spec().layers.size();
        std::size_t l = pass.resume({&state}, layers, [&] { state = model.embed(text.all(), memory); });
        while (l < layers) {
            model.run_layer(l++, state, pass);
            pass.save(l, {&state});
        }
        model.observe_output(state, pass);
        pass.encode_unreached();
    }
};

}  // namespace tessera
