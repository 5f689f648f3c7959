// Calibration: a model runs over windows of tokens, and statistics of its matrices' inputs are collected.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <iterator>
#include <numeric>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "tessera/calibrate/checkpoint.hpp"
#include "tessera/calibrate/input_collector.hpp"
#include "tessera/calibrate/input_statistics.hpp"
#include "tessera/core/checksum.hpp"
#include "tessera/core/function_ref.hpp"
#include "tessera/core/journal.hpp"
#include "tessera/core/output_rule.hpp"
#include "tessera/core/progress.hpp"
#include "tessera/core/stage_meter.hpp"
#include "tessera/core/token_windows.hpp"
#include "tessera/decoder/activations.hpp"
#include "tessera/decoder/matrix.hpp"
#include "tessera/decoder/model.hpp"
#include "tessera/decoder/observer.hpp"
#include "tessera/decoder/tile_memory.hpp"
#include "tessera/gguf/model_fingerprint.hpp"
#include "tessera/tensor/concepts.hpp"

namespace tessera {

struct calibrate_options {
    int threads = 0;  ///< 0: all of the machine's
    gram_matrices gram = gram_matrices::none;
    /// Where the work is saved after every layer, so that a run that was interrupted goes on from there; empty:
    /// nowhere. As large as the activations. The caller removes it (calibration_checkpoint::remove).
    std::filesystem::path checkpoint{};
    /// What to do about a checkpoint that cannot be gone on from, as one of another model or text.
    existing_file unfit_checkpoint = existing_file::refuse;
    decoder::tile_memory* memory = nullptr;  ///< where activations are kept; null: all in memory
};

/// Called after every layer with its statistics. Gram matrices are there only now: they are freed when it returns.
/// Layers that an earlier run has finished are not shown again.
using layer_observer = function_ref<void(std::size_t layer, std::span<const input_statistics> inputs)>;

/// The statistics of all inputs, from the first layer to the output.
struct calibration {
    std::size_t windows = 0;
    std::size_t window = 0;   ///< tokens in a window
    std::size_t resumed = 0;  ///< layers that an earlier run had finished
    std::vector<input_statistics> inputs;
};

namespace detail {

// The work that a checkpoint is of.
[[nodiscard]] inline work_identity identify(std::uint64_t model, const token_windows& windows) {
    checksum text;
    const std::size_t window = windows.length();
    text.append(&window, sizeof window);
    text.append(windows.tokens().data(), windows.tokens().size_bytes());
    return work_identity().add("model", model).add("text", text.value());
}

[[nodiscard]] inline std::uint64_t checksum_of(const decoder::activations& state) {
    checksum sum;
    decoder::matrix buffer;
    for (std::size_t i = 0; i < state.tiles(); ++i) {
        const decoder::matrix& values = state.look(i, buffer);
        sum.append(values.data(), static_cast<std::size_t>(values.size()) * sizeof(float));
    }
    return sum.value();
}

}  // namespace detail

/// The layers that a calibration on these windows would find done in its checkpoint.
template <tensor_source Source>
[[nodiscard]] std::size_t layers_done(const Source& source, const token_windows& windows,
                                      const std::filesystem::path& checkpoint) {
    return calibration_checkpoint::layers_in(checkpoint, detail::identify(model_fingerprint(source), windows));
}

/// Sends windows of tokens through all layers, one layer after the other, and collects the calibration statistics of
/// every matrix's input, the output matrix's included. Memory is what the options say of the activations, and what a
/// layer needs for one tile of tokens; Gram matrices of a layer, if asked for, are all there at once. The result is the
/// same bits for every number of threads, and whether or not the run was interrupted.
///
/// Throws naming layer, tensor and window at the first number that is not finite; the checkpoint then stays. Throws
/// unfit_work when there is a checkpoint that cannot be gone on from, unless the options say that it is replaced.
template <tensor_source Source>
[[nodiscard]] calibration calibrate(const Source& source, const token_windows& windows,
                                    const calibrate_options& options = {}, progress_callback report = {},
                                    layer_observer each_layer = {}) {
    const decoder::model<Source> decoder(source, decoder::model_options{.threads = options.threads});
    decoder::activations state = decoder.embed(windows, options.memory);
    calibration result{windows.size(), windows.length(), 0, {}};
    std::optional<calibration_checkpoint> checkpoint;
    if (!options.checkpoint.empty()) {
        const work_identity identity = detail::identify(model_fingerprint(source), windows);
        const std::uint64_t start = detail::checksum_of(state);
        try {
            checkpoint.emplace(options.checkpoint, identity, start);
        } catch (const unfit_work&) {
            if (options.unfit_checkpoint == existing_file::refuse) throw;
            calibration_checkpoint::remove(options.checkpoint);
            checkpoint.emplace(options.checkpoint, identity, start);
        }
        result.resumed = checkpoint->resume(result.inputs, state);
    }

    const std::vector<double> work = decoder.work_of(windows.tokens().size());
    stage_meter meter(report,
                      {"calibrate", "tokens", windows.tokens().size(), decoder::work_of_layers(work),
                       std::accumulate(work.begin(), work.begin() + static_cast<std::ptrdiff_t>(result.resumed), 0.0)});
    input_collector collector({.window = windows.length(), .gram = options.gram, .threads = options.threads});
    const std::size_t layers = decoder.spec().layers.size();
    for (std::size_t layer = result.resumed; layer <= layers; ++layer) {
        meter.begin({"layer", layer + 1, layers + 1, layer < layers ? work[layer] : 0.0});
        if (layer < layers)
            decoder.run_layer(layer, state, collector, decoder::shown_inputs::parts);
        else
            decoder.observe_output(state, collector);
        std::vector<input_statistics> inputs = collector.take();
        if (each_layer) each_layer(layer, inputs);
        for (input_statistics& input : inputs)
            for (column_statistics& matrix : input.matrices) matrix.gram.resize(0, 0);
        if (checkpoint && layer < layers) checkpoint->add(layer, inputs, state);
        std::ranges::move(inputs, std::back_inserter(result.inputs));
    }
    meter.finish();
    return result;
}

}  // namespace tessera
