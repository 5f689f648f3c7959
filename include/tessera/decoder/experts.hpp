// Mixture of experts: the sum of what comes back from them.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/core/parallel.hpp"
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

namespace detail {

// What some experts work on together.
struct expert_batch {
    std::vector<std::size_t> experts;
    std::vector<matrix> gathered, inner, results;  // of each
};

// Experts from `next` on that have tokens: one, or as many as have together no more weights than a large one has in
// memory, nor more activations than weights. Moves `next` behind them.
template <class = void>
[[nodiscard]] expert_batch next_batch(std::span<const feed_forward_weights> experts,
                                      std::span<const std::vector<routed_token>> routed, std::size_t& next) {
    constexpr std::size_t most_weights = 4 * loaded_weights;
    expert_batch batch;
    std::size_t weights = 0, activations = 0;
    for (; next < experts.size(); ++next) {
        if (routed[next].empty()) continue;
        const linear& up = experts[next].up;
        weights += 2 * up.inputs() * up.outputs;
        activations += routed[next].size() * (2 * up.inputs() + up.outputs);
        if (!batch.experts.empty() && std::max(weights, activations) > most_weights) break;
        batch.experts.push_back(next);
    }
    for (auto* matrices : {&batch.gathered, &batch.inner, &batch.results}) matrices->resize(batch.experts.size());
    return batch;
}

}  // namespace detail

/// out += the weighted sum of the chosen experts' results, for every row of `in`. Small experts work in batches, so
/// that all threads have something to do; the weights of each are read once, and sums are in the order of the experts.
template <tensor_source Source>
void add_experts(const layer_run<Source>& run, std::span<const feed_forward_weights> experts,
                 std::span<const std::vector<routed_token>> routed, weight_target target, const matrix& in,
                 matrix& out) {
    constexpr std::size_t columns_at_once = 64;
    const bool weigh_input = target == weight_target::input;
    for (std::size_t next = 0; next < experts.size();) {
        detail::expert_batch batch = detail::next_batch(experts, routed, next);
        const std::size_t size = batch.experts.size();
        std::vector<std::size_t> first_block{0};  // blocks of rows of the experts before
        constexpr std::size_t block_rows = 64;
        for (std::size_t b = 0; b < size; ++b) {
            const std::size_t e = batch.experts[b];
            const auto count = static_cast<Eigen::Index>(routed[e].size());
            batch.gathered[b].resize(count, in.cols());
            batch.inner[b].resize(count, static_cast<Eigen::Index>(experts[e].up.outputs));
            batch.results[b].resize(count, out.cols());
            first_block.push_back(first_block.back() + (routed[e].size() + block_rows - 1) / block_rows);
        }
        parallel_for(first_block.back(), run.threads, [&](std::size_t block) {
            const auto after = std::ranges::upper_bound(first_block, block);
            const auto b = static_cast<std::size_t>(after - first_block.begin()) - 1;
            const std::vector<routed_token>& tokens = routed[batch.experts[b]];
            const std::size_t first = (block - first_block[b]) * block_rows;
            for (std::size_t r = first; r < std::min(first + block_rows, tokens.size()); ++r)
                batch.gathered[b].row(static_cast<Eigen::Index>(r)) =
                    (weigh_input ? tokens[r].weight : 1.0f) * in.row(tokens[r].token);
        });

        std::vector<std::array<const linear*, 2>> halves;
        std::vector<const linear*> downs;
        std::vector<product_group> groups;
        for (const std::size_t e : batch.experts) {
            halves.push_back({&experts[e].gate, &experts[e].up});
            downs.push_back(&experts[e].down);
        }
        for (std::size_t b = 0; b < size; ++b) {
            run.observe(batch.gathered[b], halves[b], routed[batch.experts[b]]);
            groups.emplace_back(halves[b], batch.gathered[b]);
        }
        for_each_product_tile(run.source, groups, run.threads, [&](const product_tile& tile) {
            tile.part_of(batch.inner[tile.group]) = gated_product(tile, run.spec.block.activation);
        });
        groups.clear();
        for (std::size_t b = 0; b < size; ++b) {
            run.observe(batch.inner[b], {&downs[b], 1}, routed[batch.experts[b]]);
            groups.emplace_back(std::span<const linear* const>(&downs[b], 1), batch.inner[b]);
        }
        for_each_product_tile(run.source, groups, run.threads, [&](const product_tile& tile) {
            tile.part_of(batch.results[tile.group]) = tile.product(0);
        });

        // A token's sum is over experts in their order: tasks are columns.
        const auto columns = static_cast<std::size_t>(out.cols());
        parallel_for((columns + columns_at_once - 1) / columns_at_once, run.threads, [&](std::size_t c) {
            const auto first = static_cast<Eigen::Index>(c * columns_at_once);
            const auto count = static_cast<Eigen::Index>(std::min(columns_at_once, columns - c * columns_at_once));
            for (std::size_t b = 0; b < size; ++b)
                for (Eigen::Index r = 0; const auto& [token, weight] : routed[batch.experts[b]]) {
                    out.row(token).segment(first, count) +=
                        (weigh_input ? 1.0f : weight) * batch.results[b].row(r++).segment(first, count);
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
    add_experts(run, weights.experts, route(spec, weights.selection_bias, logits, run.threads), spec.target, in, out);
    if (weights.shared.down.tensor == nullptr) return;
    if (weights.shared_gate.tensor == nullptr) return add_network(run, weights.shared, in, out);

    run.observe(in, {&weights.shared_gate});
    const matrix gates = projected(run.source, weights.shared_gate, in, run.threads);
    std::vector<routed_token> all;
    for (Eigen::Index token = 0; token < in.rows(); ++token) all.push_back({token, sigmoid(gates(token, 0))});
    add_experts(run, {&weights.shared, 1}, {&all, 1}, weight_target::output, in, out);
}

}  // namespace tessera::decoder
