// The forward pass, layer by layer: all windows of tokens go through a layer before the next one is touched.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
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
#include "tessera/decoder/activations.hpp"
#include "tessera/decoder/experts.hpp"
#include "tessera/decoder/finite.hpp"
#include "tessera/decoder/layer_run.hpp"
#include "tessera/decoder/layer_steps.hpp"
#include "tessera/decoder/linear.hpp"
#include "tessera/decoder/matrix.hpp"
#include "tessera/decoder/model_metadata.hpp"
#include "tessera/decoder/model_spec.hpp"
#include "tessera/decoder/model_weights.hpp"
#include "tessera/decoder/norm.hpp"
#include "tessera/decoder/observer.hpp"
#include "tessera/decoder/rope.hpp"
#include "tessera/decoder/routing.hpp"
#include "tessera/decoder/tile_memory.hpp"
#include "tessera/decoder/token_work.hpp"
#include "tessera/tensor/concepts.hpp"

namespace tessera::decoder {

struct model_options {
    int threads = 0;  ///< 0: all of the machine's
    /// Tokens that sequences may have: matters to models whose rotations differ for long ones. At least the window.
    std::size_t context = 0;
};

/// Runs a decoder-only model whose weights stay in a source. A pass reads every weight once for each tile of tokens
/// (see activations; an expert's once for as many tokens as a tile has). Memory is what the activations' may be, a few
/// tiles at work, some MiB of weights and one vector per norm and bias. Results are the same bits for every number of
/// threads, and whatever of the activations is in memory. Sums of norms and softmax run in double, matrix products in
/// float.
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

    /// The embeddings of windows of tokens: the hidden states that go through the layers. What of them is in memory,
    /// and what of all that layers keep, says `memory`; null: all. Throws when a token is not in the vocabulary.
    [[nodiscard]] activations embed(const token_windows& windows, tile_memory* memory = nullptr) const {
        const std::span<const std::int32_t> tokens = windows.tokens();
        const std::size_t window = windows.length();
        for (std::size_t i = 0; i < tokens.size(); ++i)
            if (tokens[i] < 0 || static_cast<std::size_t>(tokens[i]) >= spec_.vocabulary)
                fail("token ", i, ": wanted an id below ", spec_.vocabulary, ", got ", tokens[i]);
        activations state(tokens.size(), spec_.width, window, memory);
        for (std::size_t i = 0; i < state.tiles(); ++i) {
            matrix rows(static_cast<Eigen::Index>(state.rows_of(i)), static_cast<Eigen::Index>(spec_.width));
            const std::size_t first_token = state.first_row(i);
            for_each_row_block(rows.rows(), options_.threads, [&](Eigen::Index first, Eigen::Index count) {
                for (Eigen::Index r = first; r < first + count; ++r) {
                    const std::int32_t token = tokens[first_token + static_cast<std::size_t>(r)];
                    source_->read(*weights_.embedding, static_cast<std::uint64_t>(token), 1, row(rows, r));
                    if (spec_.embedding_scale != 1.0) rows.row(r) *= static_cast<float>(spec_.embedding_scale);
                }
            });
            require_finite(rows, first_token, window, "embedding", options_.threads);
            state.put(i, std::move(rows));
        }
        return state;
    }

    /// Sends `state` through every layer. Throws naming layer, tensor and window when a number is not finite.
    void run(activations& state, progress_callback report = {}, input_observer observer = {}) const {
        const rope_tables ropes = make_ropes(state);
        const std::size_t layers = spec_.layers.size();
        const std::vector<double> work = work_of(state.rows());
        stage_meter meter(report, {"decode", "tokens", state.rows(), work_of_layers(work)});
        for (std::size_t l = 0; l < layers; ++l) {
            meter.begin({"layer", l + 1, layers, work[l]});
            run_layer(l, ropes, state, observer, shown_inputs::whole);
        }
        meter.finish();
    }

    /// What each layer and, one past the last of them, the output is estimated to take of so many tokens (see
    /// token_work).
    [[nodiscard]] std::vector<double> work_of(std::uint64_t tokens) const {
        std::vector<double> work = token_work(source_->tensors(), spec_.layers.size(), spec_.experts.used_share());
        for (double& one : work) one *= static_cast<double>(tokens);
        return work;
    }

    /// Sends `state` through one layer: for those who keep states and run a part of the model again.
    void run_layer(std::size_t layer, activations& state, input_observer observer = {},
                   shown_inputs shown = shown_inputs::whole) const {
        run_layer(layer, make_ropes(state), state, observer, shown);
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
    void observe_output(const activations& state, input_observer observer) const {
        const linear* const output = &weights_.output;
        const auto read = [&](std::size_t i, matrix& buffer) -> const matrix& {
            norm_tile(state, i, weights_.output_norm, buffer);
            return buffer;
        };
        const input_tiles tiles(read, state.rows(), state.tile_rows(), 0, state.columns());
        observer({spec_.layers.size(), {&output, 1}, tiles});
    }

private:
    struct rope_tables {
        rope_table global, local;
    };

    [[nodiscard]] rope_tables make_ropes(const activations& state) const {
        const auto context = static_cast<double>(std::max(state.window(), options_.context));
        const bool is_long = context > spec_.global.rope.original_context && !weights_.long_rope_factors.empty();
        const std::vector<float>& factors = is_long ? weights_.long_rope_factors : weights_.rope_factors;
        return {{spec_.global.rope, factors, state.window()}, {spec_.local.rope, factors, state.window()}};
    }

    [[nodiscard]] matrix output_input(matrix_view hidden) const {
        matrix normed;
        rms_norm_rows(map(hidden), weights_.output_norm, spec_.norm_epsilon, normed, options_.threads);
        return normed;
    }

    // The normed rows of a tile.
    void norm_tile(const activations& state, std::size_t i, std::span<const float> norm, matrix& out) const {
        matrix buffer;
        rms_norm_rows(state.look(i, buffer), norm, spec_.norm_epsilon, out, options_.threads);
    }

    void run_layer(std::size_t l, const rope_tables& ropes, activations& state, input_observer observer,
                   shown_inputs shown) const {
        const serial_products guard;
        const layer_weights& layer = weights_.layers[l];
        const bool local = spec_.layers[l].mixer == mixer_kind::local_attention;
        layer_run<Source> run{*source_,
                              spec_,
                              local ? spec_.local : spec_.global,
                              local ? ropes.local : ropes.global,
                              l,
                              state.window(),
                              options_.threads,
                              observer,
                              shown,
                              0,
                              state.memory()};
        const auto* dense = std::get_if<feed_forward_weights>(&layer.network);
        const auto run_halves = [&](activations& rows) {
            std::visit(
                [&](const auto& weights) {
                    run_half(run, layer.mixer_norm, layer.mixer.output, layer.mixer_post_norm, rows,
                             [&](const row_tiles& x) { return mixer_steps(run, weights, x); });
                },
                layer.mixer.heads);
            if (dense != nullptr)
                run_half(run, layer.network_norm, dense->down, layer.network_post_norm, rows,
                         [&](const row_tiles&) { return std::vector{network_step(run, *dense)}; });
        };
        if (observer && shown == shown_inputs::whole) {
            run_halves(state);
        } else {  // a tile goes through both halves while it is in memory
            for (std::size_t i = 0; i < state.tiles(); ++i) {
                run.first_token = state.first_row(i);
                activations part(state.take(i), state.window());
                run_halves(part);
                state.put(i, part.take(0));
            }
            run.first_token = 0;
        }
        if (dense == nullptr) run_experts(run, layer, std::get<expert_weights>(layer.network), state);
    }

    // state += post(last(steps(norm(state))))
    template <class MakeSteps>
    void run_half(const layer_run<Source>& run, std::span<const float> norm, const linear& last,
                  std::span<const float> post_norm, activations& state, MakeSteps&& make_steps) const {
        const auto make = [&](std::size_t i, matrix& out) { norm_tile(state, i, norm, out); };
        const row_tiles x{state.rows(), state.tile_rows(), make};
        run_steps(run, x, make_steps(x), last, {}, [&](std::size_t i, const matrix& rows) {
            matrix sum = state.take(i);
            add_normed(post_norm, sum, [&](matrix& out) { add_projection(*source_, last, rows, out, run.threads); });
            require_finite_after(*last.tensor, run, run.first_token + state.first_row(i), sum);
            state.put(i, std::move(sum));
        });
    }

    // state += post(experts(norm(state)))
    void run_experts(const layer_run<Source>& run, const layer_weights& layer, const expert_weights& weights,
                     activations& state) const {
        const tile_memory::taken lists(state.memory(), routed_bytes(spec_.experts, state.rows()));
        activations x(state.rows(), state.columns(), state.window(), state.tile_rows(), state.memory());
        std::optional<activations> update;
        if (!layer.network_post_norm.empty())
            update.emplace(state.rows(), state.columns(), state.window(), state.tile_rows(), state.memory());
        for (std::size_t i = 0; i < state.tiles(); ++i) {
            matrix rows;
            norm_tile(state, i, layer.network_norm, rows);
            if (update) update->put(i, matrix::Zero(rows.rows(), rows.cols()));
            x.put(i, std::move(rows));
        }
        add_network(run, weights, x, update ? *update : state);
        for (std::size_t i = 0; i < state.tiles(); ++i) {
            matrix sum = state.take(i);
            if (update) add_normed(layer.network_post_norm, sum, [&](matrix& out) { out = update->take(i); });
            require_finite_after(last_tensor(layer.network), run, state.first_row(i), sum);
            state.put(i, std::move(sum));
        }
    }

    void require_finite_after(const tensor_info& tensor, const layer_run<Source>& run, std::size_t first_token,
                              const matrix& rows) const {
        require_finite(rows, first_token, run.window, concat("layer ", run.layer, ", after ", tensor.name),
                       options_.threads);
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
