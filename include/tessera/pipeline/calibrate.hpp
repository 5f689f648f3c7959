// A model runs over windows of tokens, and statistics of what its matrices are multiplied with remain.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <iterator>
#include <span>
#include <utility>
#include <vector>

#include "tessera/calibrate/checkpoint.hpp"
#include "tessera/calibrate/input_collector.hpp"
#include "tessera/calibrate/input_statistics.hpp"
#include "tessera/core/checksum.hpp"
#include "tessera/core/function_ref.hpp"
#include "tessera/core/progress.hpp"
#include "tessera/gguf/serialize.hpp"
#include "tessera/model/decoder.hpp"
#include "tessera/tensor/concepts.hpp"

namespace tessera {

struct calibrate_options {
    int threads = 0;  ///< 0: all of the machine's
    gram_matrices gram = gram_matrices::none;
    /// Where the work is saved after every layer, so that a run that was interrupted goes on from there; empty: nowhere.
    /// As large as the activations. Whoever keeps the result removes the file.
    std::filesystem::path checkpoint{};
};

/// Called after every layer with its statistics. Gram matrices are there only now: they are freed when it returns.
/// Layers that an earlier run has finished are not shown again.
using layer_observer = function_ref<void(std::size_t layer, std::span<const input_statistics> inputs)>;

/// The statistics of all inputs, from the first layer to the output.
struct calibration {
    std::size_t windows = 0;
    std::size_t window = 0;  ///< tokens in a window
    std::vector<input_statistics> inputs;
};

namespace detail {

// Tells models, texts and options apart: metadata, all tensors' names and shapes, the small ones' values, and the
// embeddings of the text. Two models that differ in large matrices alone are taken for one.
template <tensor_source Source>
[[nodiscard]] std::uint64_t calibration_fingerprint(const Source& source, std::span<const std::int32_t> tokens,
                                                    const model::activations& embedded) {
    checksum sum;
    const std::span<const tensor_info> tensors = source.tensors();
    gguf::put_metadata(sum, tensors.size(), source.metadata());
    std::vector<float> values;
    for (const tensor_info& info : tensors) {
        gguf::put_tensor(sum, info, 0);
        if (info.rows() != 1) continue;
        values.resize(info.columns());
        source.read(info, 0, 1, values);
        sum.append(values.data(), values.size() * sizeof(float));
    }
    sum.append(&embedded.window, sizeof embedded.window);
    sum.append(tokens.data(), tokens.size_bytes());
    const std::span<const float> states = embedded.view().values();
    sum.append(states.data(), states.size_bytes());
    return sum.value();
}

}  // namespace detail

/// Sends whole windows of `window` tokens through all layers, one layer after the other, and gathers the statistics of
/// every matrix's input, the output matrix's included. Memory is the activations and what the layer at work needs. The
/// result is the same bits for every number of threads, and whether or not the run was interrupted.
///
/// Throws naming layer, tensor and window at the first number that is not finite; the checkpoint then stays. Throws,
/// too, when there is a checkpoint of another model, text or options.
template <tensor_source Source>
[[nodiscard]] calibration calibrate(const Source& source, std::span<const std::int32_t> tokens, std::size_t window,
                                    const calibrate_options& options = {}, progress_callback report = {},
                                    layer_observer each_layer = {}) {
    const model::decoder<Source> decoder(source, model::decoder_options{.threads = options.threads});
    model::activations state = decoder.embed(tokens, window);
    calibration result{tokens.size() / window, window, {}};
    std::uint64_t fingerprint = 0;
    std::size_t layer = 0;
    if (!options.checkpoint.empty()) {
        fingerprint = detail::calibration_fingerprint(source, tokens, state);
        gguf::remove_abandoned(options.checkpoint);
        if (std::filesystem::exists(options.checkpoint)) {
            calibration_checkpoint saved = read_checkpoint(
                options.checkpoint, fingerprint, {state.values.data(), static_cast<std::size_t>(state.values.size())});
            layer = saved.layers_done;
            result.inputs = std::move(saved.inputs);
        }
    }

    input_collector collector({.window = window, .gram = options.gram, .threads = options.threads});
    const std::size_t layers = decoder.spec().layers.size();
    for (; layer <= layers; ++layer) {
        if (layer < layers)
            decoder.run_layer(layer, state, collector);
        else
            decoder.observe_output(state.view(), collector);
        std::vector<input_statistics> inputs = collector.take();
        if (each_layer) each_layer(layer, inputs);
        for (input_statistics& input : inputs)
            for (column_statistics& matrix : input.matrices) matrix.gram.resize(0, 0);
        std::ranges::move(inputs, std::back_inserter(result.inputs));
        if (!options.checkpoint.empty() && layer < layers)
            write_checkpoint(options.checkpoint, fingerprint, layer + 1, result.inputs, state.view().values());
        if (report) report({.stage = "calibrate", .unit = "layers", .done = layer + 1, .total = layers + 1});
    }
    return result;
}

}  // namespace tessera
