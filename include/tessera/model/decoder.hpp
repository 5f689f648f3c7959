// The forward pass, layer by layer: all windows of tokens go through a layer before the next one is touched.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/core/progress.hpp"
#include "tessera/core/view.hpp"
#include "tessera/model/attention.hpp"
#include "tessera/model/decoder_architectures.hpp"
#include "tessera/model/decoder_spec.hpp"
#include "tessera/model/decoder_weights.hpp"
#include "tessera/model/experts.hpp"
#include "tessera/model/feed_forward.hpp"
#include "tessera/model/linear.hpp"
#include "tessera/model/matrix.hpp"
#include "tessera/model/norm.hpp"
#include "tessera/model/rope.hpp"
#include "tessera/tensor/concepts.hpp"

namespace tessera::model {

struct decoder_options {
    int threads = 0;  ///< 0: all of the machine's
};

/// The hidden states of windows of tokens on their way through the layers: one row per token, window after window.
/// Positions start at 0 in every window, and no window sees another.
struct activations {
    matrix values;
    std::size_t window = 0;  ///< tokens in a window

    [[nodiscard]] matrix_view view() const {
        return {std::span(values.data(), static_cast<std::size_t>(values.size())),
                static_cast<std::size_t>(values.cols())};
    }
};

/// Runs a decoder-only model whose weights stay in a source. A pass reads every weight once, whatever the number of
/// tokens; memory is the activations, a few MiB of weights and one vector per norm and bias. Results are the same bits
/// for every number of threads. Sums of norms and softmax run in double, matrix products in float.
template <tensor_source Source>
class decoder {
public:
    /// Reads the architecture from the source's metadata. The source must outlive the decoder. Throws as
    /// make_decoder_spec and bind_weights do.
    explicit decoder(const Source& source, decoder_options options = {})
        : decoder(source, make_decoder_spec(source.metadata()), options) {}

    /// Runs an architecture of one's own over the source's tensors.
    decoder(const Source& source, decoder_spec spec, decoder_options options = {})
        : source_(&source), spec_(std::move(spec)), weights_(bind_weights(source, spec_)), options_(options) {}

    [[nodiscard]] const decoder_spec& spec() const noexcept { return spec_; }
    [[nodiscard]] std::size_t vocabulary() const noexcept { return spec_.vocabulary; }

    /// The embeddings of whole windows of `window` tokens each. Throws when the tokens do not make whole windows or one
    /// is not in the vocabulary.
    [[nodiscard]] activations embed(std::span<const std::int32_t> tokens, std::size_t window) const {
        if (tokens.empty() || window == 0 || tokens.size() % window != 0)
            fail("tokens: wanted whole windows of ", window, ", got ", tokens.size());
        for (std::size_t i = 0; i < tokens.size(); ++i)
            if (tokens[i] < 0 || static_cast<std::size_t>(tokens[i]) >= spec_.vocabulary)
                fail("token ", i, ": wanted an id below ", spec_.vocabulary, ", got ", tokens[i]);
        activations state{matrix(static_cast<Eigen::Index>(tokens.size()), static_cast<Eigen::Index>(spec_.width)),
                          window};
        for_each_row_block(state.values.rows(), options_.threads, [&](Eigen::Index first, Eigen::Index rows) {
            for (Eigen::Index r = first; r < first + rows; ++r)
                source_->read(*weights_.embedding, static_cast<std::uint64_t>(tokens[static_cast<std::size_t>(r)]), 1,
                              row(state.values, r));
        });
        require_finite(state.values, window, "embedding");
        return state;
    }

    /// Sends `state` through every layer. Throws naming layer and window when a number is not finite.
    void run(activations& state, progress_callback report = {}) const {
        const rope_table rope = make_rope(state);
        for (std::size_t l = 0; l < spec_.layers; ++l) {
            run_layer(l, rope, state);
            if (report) report({.stage = "decode", .unit = "layers", .done = l + 1, .total = spec_.layers});
        }
    }

    /// Sends `state` through one layer: for those who keep states and run a part of the model again.
    void run_layer(std::size_t layer, activations& state) const { run_layer(layer, make_rope(state), state); }

    /// The logits that follow from hidden states behind the last layer: rows x width in, rows x vocabulary out.
    void logits(matrix_view hidden, mutable_matrix_view out) const {
        const serial_products guard;
        matrix normed;
        rms_norm_rows(map(hidden), weights_.output_norm, spec_.norm_epsilon, normed, options_.threads);
        matrix_map logits = map(out);
        project(*source_, weights_.output, normed, logits, options_.threads);
    }

private:
    [[nodiscard]] rope_table make_rope(const activations& state) const {
        return {spec_.rope, weights_.rope_factors, state.window};
    }

    void run_layer(std::size_t l, const rope_table& rope, activations& state) const {
        const serial_products guard;
        const layer_weights& layer = weights_.layers[l];
        add_attention(layer, rope, state);
        add_feed_forward(layer, concat("layer ", l, ", router"), state);
        require_finite(state.values, state.window, concat("layer ", l));
    }

    void add_attention(const layer_weights& layer, const rope_table& rope, activations& state) const {
        const int threads = options_.threads;
        matrix normed;
        rms_norm_rows(state.values, layer.attention_norm, spec_.norm_epsilon, normed, threads);
        const auto projected = [&](const linear& weights) {
            matrix heads(normed.rows(), static_cast<Eigen::Index>(weights.outputs));
            project(*source_, weights, normed, heads, threads);
            return heads;
        };
        matrix queries = projected(layer.query);
        matrix keys = projected(layer.key);
        const matrix values = projected(layer.value);
        apply_rope(rope, spec_.head_size, state.window, queries, threads);
        apply_rope(rope, spec_.head_size, state.window, keys, threads);
        matrix& attended = normed;  // its old content has been used up
        attend(spec_, state.window, queries, keys, values, attended, threads);
        add_projection(*source_, layer.attention_output, attended, state.values, threads);
    }

    void add_feed_forward(const layer_weights& layer, const std::string& router, activations& state) const {
        const int threads = options_.threads;
        matrix normed;
        rms_norm_rows(state.values, layer.feed_forward_norm, spec_.norm_epsilon, normed, threads);
        if (spec_.experts.count == 0) {
            const feed_forward_weights& dense = layer.experts.front();
            matrix inner;
            gate_and_up(*source_, dense, spec_.activation, normed, inner, threads);
            add_projection(*source_, dense.down, inner, state.values, threads);
            return;
        }
        matrix logits(normed.rows(), static_cast<Eigen::Index>(spec_.experts.count));
        project(*source_, layer.router, normed, logits, threads);
        require_finite(logits, state.window, router);
        add_experts(*source_, layer.experts, route(spec_.experts, logits), spec_.activation, normed, state.values,
                    threads);
    }

    void require_finite(const matrix& values, std::size_t window, const std::string& where) const {
        for_each_row_block(values.rows(), options_.threads, [&](Eigen::Index first, Eigen::Index rows) {
            for (Eigen::Index r = first; r < first + rows; ++r) {
                const float* x = values.row(r).data();
                const auto columns = static_cast<std::size_t>(values.cols());
                // 0 unless one of them is infinite or NaN
                if (kernels::sum<float>(columns, [x](std::size_t i) { return x[i] * 0.0f; }) == 0.0f) continue;
                const float* bad = std::find_if(x, x + columns, [](float v) { return !std::isfinite(v); });
                const auto token = static_cast<std::size_t>(r);
                fail(where, ": window ", token / window, ", token ", token % window,
                     ": wanted finite activations, got ", *bad);
            }
        });
    }

    const Source* source_;
    decoder_spec spec_;
    decoder_weights weights_;
    decoder_options options_;
};

}  // namespace tessera::model
