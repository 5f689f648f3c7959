// Mixture of experts: the sum of what comes back from them.
#pragma once

#include <cstddef>
#include <numeric>
#include <span>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/decoder/activation.hpp"
#include "tessera/decoder/feed_forward.hpp"
#include "tessera/decoder/finite.hpp"
#include "tessera/decoder/layer_run.hpp"
#include "tessera/decoder/linear.hpp"
#include "tessera/decoder/matrix.hpp"
#include "tessera/decoder/model_spec.hpp"
#include "tessera/decoder/routing.hpp"

namespace tessera::decoder {

struct expert_weights {
    linear router;
    std::vector<float> selection_bias;  ///< one number per expert, or none
    std::vector<feed_forward_weights> experts;
    feed_forward_weights shared;  ///< sees every token, if it has tensors
    linear shared_gate;           ///< one logit per token, if it has a tensor
};

/// out += the weighted sum of the chosen experts' results, for every row of `in`. One expert after the other, so that
/// the weights of each are read once and sums have one order.
template <tensor_source Source>
void add_experts(const layer_run<Source>& run, std::span<const feed_forward_weights> experts,
                 std::span<const std::vector<routed_token>> routed, weight_target target, const matrix& in,
                 matrix& out) {
    const bool weigh_input = target == weight_target::input;
    matrix gathered, inner, results;
    for (std::size_t e = 0; e < experts.size(); ++e) {
        const std::vector<routed_token>& tokens = routed[e];
        if (tokens.empty()) continue;
        const auto count = static_cast<Eigen::Index>(tokens.size());
        gathered.resize(count, in.cols());
        for_each_row_block(count, run.threads, [&](Eigen::Index first, Eigen::Index rows) {
            for (Eigen::Index r = first; r < first + rows; ++r) {
                const auto [token, weight] = tokens[static_cast<std::size_t>(r)];
                gathered.row(r) = (weigh_input ? weight : 1.0f) * in.row(token);
            }
        });
        run.observe(gathered, {&experts[e].gate, &experts[e].up}, tokens);
        gate_and_up(run.source, experts[e], run.spec.block.activation, gathered, inner, run.threads);
        run.observe(inner, {&experts[e].down}, tokens);
        results.resize(count, out.cols());
        project(run.source, experts[e].down, inner, results, run.threads);
        for_each_row_block(count, run.threads, [&](Eigen::Index first, Eigen::Index rows) {
            for (Eigen::Index r = first; r < first + rows; ++r) {
                const auto [token, weight] = tokens[static_cast<std::size_t>(r)];
                out.row(token) += (weigh_input ? 1.0f : weight) * results.row(r);
            }
        });
    }
}

/// out += what a dense network makes of every row of `in`.
template <tensor_source Source>
void add_network(const layer_run<Source>& run, const feed_forward_weights& weights, const matrix& in, matrix& out) {
    matrix inner;
    run.observe(in, {&weights.gate, &weights.up});
    gate_and_up(run.source, weights, run.spec.block.activation, in, inner, run.threads);
    run.observe(inner, {&weights.down});
    add_projection(run.source, weights.down, inner, out, run.threads);
}

/// out += what the chosen experts, and the shared one, make of every row of `in`.
template <tensor_source Source>
void add_network(const layer_run<Source>& run, const expert_weights& weights, const matrix& in, matrix& out) {
    const expert_spec& spec = run.spec.experts;
    run.observe(in, {&weights.router});
    matrix logits = projected(run.source, weights.router, in, run.threads);
    require_finite(logits, run.window, concat("layer ", run.layer, ", router"), run.threads);
    add_experts(run, weights.experts, route(spec, weights.selection_bias, logits), spec.target, in, out);
    if (weights.shared.down.tensor == nullptr) return;
    if (weights.shared_gate.tensor == nullptr) return add_network(run, weights.shared, in, out);

    run.observe(in, {&weights.shared_gate});
    const matrix gates = projected(run.source, weights.shared_gate, in, run.threads);
    std::vector<routed_token> all;
    for (Eigen::Index token = 0; token < in.rows(); ++token) all.push_back({token, sigmoid(gates(token, 0))});
    add_experts(run, {&weights.shared, 1}, {&all, 1}, weight_target::output, in, out);
}

}  // namespace tessera::decoder
