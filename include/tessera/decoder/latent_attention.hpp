// Multi-head latent attention (MLA): attention over a compressed state that all heads share.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "tessera/decoder/attention.hpp"
#include "tessera/decoder/layer_run.hpp"
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

}  // namespace detail

/// From normed hidden states to what the heads yield (heads x latent.value_size), in place. Instead of expanding keys
/// and values for every head, queries are brought to the compressed state's own numbers: q . (K c) = (K' q) . c. Then
/// all heads share one key, the state, which is its own value, too.
template <tensor_source Source>
void mix(const layer_run<Source>& run, const latent_weights& weights, matrix& x) {
    const model_spec& spec = run.spec;
    const auto heads = static_cast<Eigen::Index>(spec.heads);
    const auto rank = static_cast<Eigen::Index>(spec.latent.rank);
    const auto rotated = static_cast<Eigen::Index>(spec.global.rope.dims);
    const auto own = static_cast<Eigen::Index>(spec.latent.head_size);
    const auto value = static_cast<Eigen::Index>(spec.latent.value_size);

    const bool compressed = !weights.query_norm.empty();
    run.observe(x, {compressed ? &weights.query_down : &weights.query, &weights.state});
    matrix state = projected(run.source, weights.state, x, run.threads);
    rms_norm_rows(state, weights.state_norm, spec.norm_epsilon, state, run.threads);
    if (compressed) {
        x = projected(run.source, weights.query_down, x, run.threads);
        rms_norm_rows(x, weights.query_norm, spec.norm_epsilon, x, run.threads);
        run.observe(x, {&weights.query});
    }
    x = projected(run.source, weights.query, x, run.threads);

    matrix queries(x.rows(), heads * (rank + rotated));
    for (Eigen::Index h = 0; h < heads; ++h) {
        auto shared = queries.middleCols(h * (rank + rotated), rank);
        const auto plain = x.middleCols(h * own, own - rotated);
        const linear& key = weights.keys[static_cast<std::size_t>(h)];
        if (weights.transposed_keys) {
            run.observe(plain, {&key});
            project(run.source, key, plain, shared, run.threads);
        } else {
            detail::project_back(run.source, key, plain, shared, run.threads);
        }
        queries.middleCols(h * (rank + rotated) + rank, rotated) = x.middleCols(h * own + own - rotated, rotated);
    }
    place_heads(run, {}, spec.head_size, queries);
    place_heads(run, {}, spec.head_size, state);
    apply_temperature(run, queries);
    matrix mixed;
    attend(run, queries, state, state, {}, mixed);

    x.resize(x.rows(), heads * value);
    for (Eigen::Index h = 0; h < heads; ++h) {
        auto yielded = x.middleCols(h * value, value);
        const auto attended = mixed.middleCols(h * rank, rank);
        const linear& value_up = weights.values[static_cast<std::size_t>(h)];
        run.observe(attended, {&value_up});
        project(run.source, value_up, attended, yielded, run.threads);
    }
}

}  // namespace tessera::decoder
