// Multi-head latent attention (MLA): attention over a compressed state that all heads share.
#pragma once

#include <cstddef>
#include <span>
#include <utility>
#include <vector>

#include "tessera/decoder/attention.hpp"
#include "tessera/decoder/layer_run.hpp"
#include "tessera/decoder/layer_steps.hpp"
#include "tessera/decoder/linear.hpp"
#include "tessera/decoder/matrix.hpp"
#include "tessera/decoder/norm.hpp"

namespace tessera::decoder {

struct latent_weights {
    linear query_down;              ///< hidden state -> compressed query, where queries are compressed
    std::vector<float> query_norm;  ///< of the compressed query; empty: queries come straight from the hidden state
    linear query;                   ///< -> heads x (plain, rotated)
    linear state;                   ///< hidden state -> rank + rotated
    std::vector<float> state_norm;  ///< of the first rank numbers
    std::vector<linear> keys;       ///< per head, plain -> rank: what a key's plain part is made with, transposed
    std::vector<linear> values;     ///< per head, rank -> value
    bool transposed_keys = true;    ///< false: `keys` are rank -> plain, not transposed
};

namespace detail {

// y = W' x for every row x of `in` and y of `out`.
template <tensor_source Source, class In, class Out>
void project_back(const Source& source, const linear& layer, const In& in, Out& out, int threads) {
    matrix weight(static_cast<Eigen::Index>(layer.outputs), static_cast<Eigen::Index>(layer.inputs()));
    source.read(*layer.tensor, layer.first_row, layer.outputs,
                std::span<float>(weight.data(), static_cast<std::size_t>(weight.size())));
    for_each_row_block(in.rows(), threads, [&](Eigen::Index first, Eigen::Index rows) {
        out.middleRows(first, rows).noalias() = in.middleRows(first, rows) * weight;
    });
}

// From queries to what the heads see of the state (heads x rank), in place.
template <tensor_source Source>
void attend_to_state(const layer_run<Source>& run, const latent_weights& weights, const row_tiles& hidden,
                     std::size_t tile, matrix& x) {
    const model_spec& spec = run.spec;
    const auto heads = static_cast<Eigen::Index>(spec.heads);
    const auto rank = static_cast<Eigen::Index>(spec.latent.rank);
    const auto rotated = static_cast<Eigen::Index>(spec.global.rope.dims);
    const auto own = static_cast<Eigen::Index>(spec.latent.head_size);
    matrix state;
    {
        matrix rows;
        hidden.make(tile, rows);
        state = projected(run.source, weights.state, rows, run.threads);
    }
    rms_norm_rows(state, weights.state_norm, spec.norm_epsilon, state, run.threads);
    matrix queries(x.rows(), heads * (rank + rotated));
    for (Eigen::Index h = 0; h < heads; ++h) {
        auto shared = queries.middleCols(h * (rank + rotated), rank);
        const auto plain = x.middleCols(h * own, own - rotated);
        const linear& key = weights.keys[static_cast<std::size_t>(h)];
        if (weights.transposed_keys)
            project(run.source, key, plain, shared, run.threads);
        else
            project_back(run.source, key, plain, shared, run.threads);
        queries.middleCols(h * (rank + rotated) + rank, rotated) = x.middleCols(h * own + own - rotated, rotated);
    }
    place_heads(run, {}, spec.head_size, queries);
    place_heads(run, {}, spec.head_size, state);
    apply_temperature(run, queries);
    attend(run, queries, state, state, {}, x);
}

}  // namespace detail

/// The steps from normed hidden states to what the heads yield (heads x latent.value_size). Instead of expanding keys
/// and values for every head, queries are brought to the compressed state's own numbers: q . (K c) = (K' q) . c. Then
/// all heads share one key, the state, which is its own value, too.
template <tensor_source Source>
[[nodiscard]] std::vector<layer_step> mixer_steps(const layer_run<Source>& run, const latent_weights& weights,
                                                  const row_tiles& hidden) {
    const model_spec& spec = run.spec;
    const std::size_t heads = spec.heads, rank = spec.latent.rank, own = spec.latent.head_size;
    const std::size_t value = spec.latent.value_size, rotated = spec.global.rope.dims;
    std::vector<layer_step> steps;
    step_input input{0, spec.width, {&weights.query, &weights.state}};
    if (!weights.query_norm.empty()) {
        input.layers.front() = &weights.query_down;
        const auto compress = [&run, &weights](std::size_t, matrix& x) {
            x = projected(run.source, weights.query_down, x, run.threads);
            rms_norm_rows(x, weights.query_norm, run.spec.norm_epsilon, x, run.threads);
        };
        steps.push_back({{std::move(input)}, weights.query_down.outputs, compress});
        input = {0, weights.query.inputs(), {&weights.query}};
    }
    const auto query = [&run, &weights](std::size_t, matrix& x) {
        x = projected(run.source, weights.query, x, run.threads);
    };
    steps.push_back({{std::move(input)}, heads * own, query});

    const auto mix = [&run, &weights, hidden](std::size_t tile, matrix& x) {
        detail::attend_to_state(run, weights, hidden, tile, x);
    };
    steps.push_back({{}, heads * rank, mix});
    if (weights.transposed_keys)
        for (std::size_t h = 0; h < heads; ++h)
            steps.back().inputs.push_back({h * own, own - rotated, {&weights.keys[h]}});

    const auto yield = [&run, &weights, heads, rank, value](std::size_t, matrix& x) {
        const matrix mixed = std::exchange(x, matrix(x.rows(), static_cast<Eigen::Index>(heads * value)));
        for (std::size_t h = 0; h < heads; ++h) {
            auto yielded = x.middleCols(static_cast<Eigen::Index>(h * value), static_cast<Eigen::Index>(value));
            project(run.source, weights.values[h],
                    mixed.middleCols(static_cast<Eigen::Index>(h * rank), static_cast<Eigen::Index>(rank)), yielded,
                    run.threads);
        }
    };
    steps.push_back({{}, heads * value, yield});
    for (std::size_t h = 0; h < heads; ++h) steps.back().inputs.push_back({h * rank, rank, {&weights.values[h]}});
    return steps;
}

}  // namespace tessera::decoder
