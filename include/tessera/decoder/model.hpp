// The forward pass, layer by layer: all windows of tokens go through a layer before the next one is touched.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <variant>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/core/parallel.hpp"
#include "tessera/core/progress.hpp"
#include "tessera/core/stage_meter.hpp"
#include "tessera/core/token_windows.hpp"
#include "tessera/core/view.hpp"
#include "tessera/decoder/activation.hpp"
#include "tessera/decoder/experts.hpp"
#include "tessera/decoder/finite.hpp"
#include "tessera/decoder/layer_run.hpp"
#include "tessera/decoder/linear.hpp"
#include "tessera/decoder/matrix.hpp"
#include "tessera/decoder/model_metadata.hpp"
#include "tessera/decoder/model_spec.hpp"
#include "tessera/decoder/model_weights.hpp"
#include "tessera/decoder/norm.hpp"
#include "tessera/decoder/observer.hpp"
#include "tessera/decoder/rope.hpp"
#include "tessera/decoder/token_work.hpp"
#include "tessera/tensor/concepts.hpp"

namespace tessera::decoder {

struct model_options {
    int threads = 0;  ///< 0: all of the machine's
    /// Tokens that sequences may have: matters to models whose rotations differ for long ones. At least the window.
    std::size_t context = 0;
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
/// tokens; memory is the activations, some MiB of weights and one vector per norm and bias. Results are the same bits
/// for every number of threads. Sums of norms and softmax run in double, matrix products in float.
template <tensor_source Source>
class model {
public:
    /// Reads the architecture from the source's metadata. The source must outlive the decoder. Throws as
    /// make_model_spec and bind_weights do.
    explicit model(const Source& source, model_options options = {})
        : model(source, make_model_spec(source.metadata()), options) {}

    /// Runs an architecture of one's own over the source's tensors.
    model(const Source& source, model_spec spec, model_options options = {})
        : source_(&source), spec_(std::move(spec)), weights_(bind_weights(source, spec_)), options_(options) {}

    [[nodiscard]] const model_spec& spec() const noexcept { return spec_; }
    [[nodiscard]] std::size_t vocabulary() const noexcept { return spec_.vocabulary; }

    /// The embeddings of windows of tokens. Throws when a token is not in the vocabulary.
    [[nodiscard]] activations embed(const token_windows& windows) const {
        const std::span<const std::int32_t> tokens = windows.tokens();
        const std::size_t window = windows.length();
        for (std::size_t i = 0; i < tokens.size(); ++i)
            if (tokens[i] < 0 || static_cast<std::size_t>(tokens[i]) >= spec_.vocabulary)
                fail("token ", i, ": wanted an id below ", spec_.vocabulary, ", got ", tokens[i]);
        activations state{matrix(static_cast<Eigen::Index>(tokens.size()), static_cast<Eigen::Index>(spec_.width)),
                          window};
        for_each_row_block(state.values.rows(), options_.threads, [&](Eigen::Index first, Eigen::Index rows) {
            for (Eigen::Index r = first; r < first + rows; ++r) {
                source_->read(*weights_.embedding, static_cast<std::uint64_t>(tokens[static_cast<std::size_t>(r)]), 1,
                              row(state.values, r));
                if (spec_.embedding_scale != 1.0) state.values.row(r) *= static_cast<float>(spec_.embedding_scale);
            }
        });
        require_finite(state.values, window, "embedding", options_.threads);
        return state;
    }

    /// Sends `state` through every layer. Throws naming layer, tensor and window when a number is not finite.
    void run(activations& state, progress_callback report = {}, input_observer observer = {}) const {
        const rope_tables ropes = make_ropes(state);
        const std::size_t layers = spec_.layers.size();
        const std::vector<double> work = work_of(static_cast<std::uint64_t>(state.values.rows()));
        stage_meter meter(report,
                          {"decode", "tokens", static_cast<std::uint64_t>(state.values.rows()), work_of_layers(work)});
        for (std::size_t l = 0; l < layers; ++l) {
            meter.begin({"layer", l + 1, layers, work[l]});
            run_layer(l, ropes, state, observer);
        }
        meter.finish();
    }

    /// What each layer and, one past the last of them, the output is estimated to take of so many tokens (see
    /// token_work).
    [[nodiscard]] std::vector<double> work_of(std::uint64_t tokens) const {
        const expert_spec& experts = spec_.experts;
        std::vector<double> work = token_work(
            source_->tensors(), spec_.layers.size(),
            experts.count == 0 ? 1.0 : static_cast<double>(experts.used) / static_cast<double>(experts.count));
        for (double& one : work) one *= static_cast<double>(tokens);
        return work;
    }

    /// Sends `state` through one layer: for those who keep states and run a part of the model again.
    void run_layer(std::size_t layer, activations& state, input_observer observer = {}) const {
        run_layer(layer, make_ropes(state), state, observer);
    }

    /// The logits that follow from hidden states after the last layer: rows x width in, rows x vocabulary out.
    void logits(matrix_view hidden, mutable_matrix_view out) const {
        const serial_products guard;
        const matrix normed = output_input(hidden);
        matrix_map logits = map(out);
        project(*source_, weights_.output, normed, logits, options_.threads);
        if (spec_.logit_cap != 0)
            parallel_for(out.rows(), options_.threads, [&](std::size_t r) { soft_cap(out.row(r), spec_.logit_cap); });
    }

    /// Shows the observer what the output matrix is multiplied with, given hidden states after the last layer.
    void observe_output(matrix_view hidden, input_observer observer) const {
        const linear* const output = &weights_.output;
        const matrix normed = output_input(hidden);
        observer({spec_.layers.size(), {&output, 1}, normed, {}});
    }

private:
    struct rope_tables {
        rope_table global, local;
    };

    [[nodiscard]] rope_tables make_ropes(const activations& state) const {
        const auto context = static_cast<double>(std::max(state.window, options_.context));
        const bool is_long = context > spec_.global.rope.original_context && !weights_.long_rope_factors.empty();
        const std::vector<float>& factors = is_long ? weights_.long_rope_factors : weights_.rope_factors;
        return {{spec_.global.rope, factors, state.window}, {spec_.local.rope, factors, state.window}};
    }

    [[nodiscard]] matrix output_input(matrix_view hidden) const {
        matrix normed;
        rms_norm_rows(map(hidden), weights_.output_norm, spec_.norm_epsilon, normed, options_.threads);
        return normed;
    }

    void run_layer(std::size_t l, const rope_tables& ropes, activations& state, input_observer observer) const {
        const serial_products guard;
        const layer_weights& layer = weights_.layers[l];
        const bool local = spec_.layers[l].mixer == mixer_kind::local_attention;
        const layer_run<Source> run{*source_,
                                    spec_,
                                    local ? spec_.local : spec_.global,
                                    local ? ropes.local : ropes.global,
                                    l,
                                    state.window,
                                    options_.threads,
                                    observer};
        matrix x;
        rms_norm_rows(state.values, layer.mixer_norm, spec_.norm_epsilon, x, options_.threads);
        std::visit([&](const auto& weights) { mix(run, weights, x); }, layer.mixer.heads);
        run.observe(x, {&layer.mixer.output});
        add_normed(layer.mixer_post_norm, state.values,
                   [&](matrix& out) { add_projection(*source_, layer.mixer.output, x, out, options_.threads); });
        require_finite_after(*layer.mixer.output.tensor, l, state);
        rms_norm_rows(state.values, layer.network_norm, spec_.norm_epsilon, x, options_.threads);
        add_normed(layer.network_post_norm, state.values, [&](matrix& out) {
            std::visit([&](const auto& weights) { add_network(run, weights, x, out); }, layer.network);
        });
        require_finite_after(last_tensor(layer.network), l, state);
    }

    void require_finite_after(const tensor_info& tensor, std::size_t l, const activations& state) const {
        require_finite(state.values, state.window, concat("layer ", l, ", after ", tensor.name), options_.threads);
    }

    // residual += norm(what `add` adds), or just what it adds when there is no norm.
    template <class Add>
    void add_normed(std::span<const float> norm, matrix& residual, Add&& add) const {
        if (norm.empty()) return add(residual);
        matrix update = matrix::Zero(residual.rows(), residual.cols());
        add(update);
        rms_norm_rows(update, norm, spec_.norm_epsilon, update, options_.threads);
        residual += update;
    }

    const Source* source_;
    model_spec spec_;
    model_weights weights_;
    model_options options_;
};

}  // namespace tessera::decoder
