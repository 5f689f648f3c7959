// Mixture of experts: the sum of what comes back from them.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>
#include <utility>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/core/parallel.hpp"
#include "tessera/decoder/activation.hpp"
#include "tessera/decoder/activations.hpp"
#include "tessera/decoder/feed_forward.hpp"
#include "tessera/decoder/finite.hpp"
#include "tessera/decoder/layer_run.hpp"
#include "tessera/decoder/layer_steps.hpp"
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

// Rows of tokens, each times a factor.
template <class Factor>
void gather(const activations& from, std::span<const routed_token> tokens, const Factor& factor, matrix& rows,
            int threads) {
    rows.resize(static_cast<Eigen::Index>(tokens.size()), static_cast<Eigen::Index>(from.columns()));
    for_each_row_block(rows.rows(), threads, [&](Eigen::Index first, Eigen::Index count) {
        for (Eigen::Index r = first; r < first + count; ++r) {
            const routed_token& t = tokens[static_cast<std::size_t>(r)];
            from.read_rows(static_cast<std::size_t>(t.token), row(rows, r));
            rows.row(r) *= factor(t);
        }
    });
}

// Adds rows to those of tokens, each times a factor.
template <class Factor>
void scatter(const matrix& rows, std::span<const routed_token> tokens, const Factor& factor, activations& to,
             int threads) {
    for_each_row_block(rows.rows(), threads, [&](Eigen::Index first, Eigen::Index count) {
        Eigen::RowVectorXf sum(rows.cols());
        const std::span<float> values(sum.data(), to.columns());
        for (Eigen::Index r = first; r < first + count; ++r) {
            const routed_token& t = tokens[static_cast<std::size_t>(r)];
            to.read_rows(static_cast<std::size_t>(t.token), values);
            sum += factor(t) * rows.row(r);
            to.write_rows(static_cast<std::size_t>(t.token), values);
        }
    });
}

// Experts that are at work together.
struct expert_batch {
    std::vector<std::size_t> experts;
    std::vector<matrix> gathered, inner;  // of each; `gathered` becomes what comes back
};

// Experts from `next` on that have tokens: one, or as many with no more tokens than a tile as have together no more
// weights than a large one has in memory, nor more activations than weights. Moves `next` behind them.
template <class = void>
[[nodiscard]] expert_batch next_batch(std::span<const feed_forward_weights> experts,
                                      std::span<const std::vector<routed_token>> routed, std::size_t tile_rows,
                                      std::size_t& next) {
    constexpr std::size_t most_weights = 4 * loaded_weights;
    expert_batch batch;
    std::size_t weights = 0, activations = 0;
    for (bool is_large = false; next < experts.size() && !is_large; ++next) {
        if (routed[next].empty()) continue;
        const linear& up = experts[next].up;
        weights += 2 * up.inputs() * up.outputs;
        activations += routed[next].size() * (2 * up.inputs() + up.outputs);
        is_large = routed[next].size() > tile_rows;
        if (!batch.experts.empty() && (is_large || std::max(weights, activations) > most_weights)) break;
        batch.experts.push_back(next);
    }
    return batch;
}

// Some experts, none with more tokens than a tile, in products that they share.
template <tensor_source Source, class InputFactor, class OutputFactor>
void add_batch(const layer_run<Source>& run, std::span<const feed_forward_weights> experts,
               std::span<const std::vector<routed_token>> routed, expert_batch& batch, const InputFactor& of_input,
               const OutputFactor& of_output, const activations& in, activations& out) {
    const std::size_t size = batch.experts.size();
    const auto show = [&](const matrix& rows, std::span<const linear* const> layers, std::size_t expert) {
        const auto read = [&](std::size_t, matrix&) -> const matrix& { return rows; };
        run.observe(input_tiles(read, static_cast<std::size_t>(rows.rows()), in.tile_rows(), 0,
                                static_cast<std::size_t>(rows.cols())),
                    layers, routed[expert]);
    };
    std::vector<std::array<const linear*, 2>> halves;
    std::vector<const linear*> downs;
    std::vector<product_group> groups;
    batch.gathered.resize(size);
    batch.inner.resize(size);
    for (const std::size_t e : batch.experts) {
        halves.push_back({&experts[e].gate, &experts[e].up});
        downs.push_back(&experts[e].down);
    }
    for (std::size_t b = 0; b < size; ++b) {
        const std::size_t e = batch.experts[b];
        gather(in, routed[e], of_input, batch.gathered[b], run.threads);
        batch.inner[b].resize(batch.gathered[b].rows(), static_cast<Eigen::Index>(experts[e].up.outputs));
        show(batch.gathered[b], halves[b], e);
        groups.emplace_back(halves[b], batch.gathered[b]);
    }
    for_each_product_tile(run.source, groups, run.threads, [&](const product_tile& tile) {
        tile.part_of(batch.inner[tile.group]) = gated_product(tile, run.spec.block.activation);
    });
    groups.clear();
    for (std::size_t b = 0; b < size; ++b) {
        show(batch.inner[b], {&downs[b], 1}, batch.experts[b]);
        groups.emplace_back(std::span<const linear* const>(&downs[b], 1), batch.inner[b]);
        batch.gathered[b].resize(batch.inner[b].rows(), static_cast<Eigen::Index>(out.columns()));
    }
    for_each_product_tile(run.source, groups, run.threads, [&](const product_tile& tile) {
        tile.part_of(batch.gathered[tile.group]) = tile.product(0);
    });
    for (std::size_t b = 0; b < size; ++b)
        scatter(batch.gathered[b], routed[batch.experts[b]], of_output, out, run.threads);
}

}  // namespace detail

/// out += the weighted sum of the chosen experts' results, for every row of `in`. Small experts work in batches, so
/// that all threads have something to do. The weights of each are read once for as many tokens as a tile has, and sums
/// are in the order of the experts.
template <tensor_source Source>
void add_experts(const layer_run<Source>& run, std::span<const feed_forward_weights> experts,
                 std::span<const std::vector<routed_token>> routed, weight_target target, const activations& in,
                 activations& out) {
    const auto of_input = [&](const routed_token& t) { return target == weight_target::input ? t.weight : 1.0f; };
    const auto of_output = [&](const routed_token& t) { return target == weight_target::input ? 1.0f : t.weight; };
    for (std::size_t next = 0; next < experts.size();) {
        detail::expert_batch batch = detail::next_batch(experts, routed, in.tile_rows(), next);
        if (batch.experts.empty()) return;
        const std::size_t e = batch.experts.front();
        const std::span<const routed_token> tokens = routed[e];
        if (tokens.size() <= in.tile_rows()) {
            detail::add_batch(run, experts, routed, batch, of_input, of_output, in, out);
            continue;
        }
        const auto tokens_of = [&](std::size_t tile) {
            const std::size_t first = tile * in.tile_rows();
            return tokens.subspan(first, std::min(in.tile_rows(), tokens.size() - first));
        };
        const auto make = [&](std::size_t tile, matrix& rows) {
            detail::gather(in, tokens_of(tile), of_input, rows, run.threads);
        };
        const layer_step step = network_step(run, experts[e]);
        run_steps(run, {tokens.size(), in.tile_rows(), make}, {&step, 1}, experts[e].down, tokens,
                  [&](std::size_t tile, const matrix& inner) {
                      const matrix results = projected(run.source, experts[e].down, inner, run.threads);
                      detail::scatter(results, tokens_of(tile), of_output, out, run.threads);
                  });
    }
}

/// out += what the chosen experts, and the shared one, make of every row of `in`.
template <tensor_source Source>
void add_network(const layer_run<Source>& run, const expert_weights& weights, const activations& in, activations& out) {
    const expert_spec& spec = run.spec.experts;
    const auto copy = [&](std::size_t tile, matrix& rows) {
        matrix buffer;
        rows = in.look(tile, buffer);
    };
    const row_tiles all_tokens{in.rows(), in.tile_rows(), copy};
    std::vector<std::vector<routed_token>> routed(spec.count);
    run_steps(run, all_tokens, {}, weights.router, {}, [&](std::size_t tile, const matrix& rows) {
        matrix logits = projected(run.source, weights.router, rows, run.threads);
        require_finite(logits, in.first_row(tile), run.window, concat("layer ", run.layer, ", router"), run.threads);
        route(spec, weights.selection_bias, static_cast<Eigen::Index>(in.first_row(tile)), logits, routed, run.threads);
    });
    add_experts(run, weights.experts, routed, spec.target, in, out);
    if (weights.shared.down.tensor == nullptr) return;
    if (weights.shared_gate.tensor == nullptr) {
        const layer_step step = network_step(run, weights.shared);
        return run_steps(run, all_tokens, {&step, 1}, weights.shared.down, {},
                         [&](std::size_t tile, const matrix& inner) {
                             matrix sum = out.take(tile);
                             add_projection(run.source, weights.shared.down, inner, sum, run.threads);
                             out.put(tile, std::move(sum));
                         });
    }
    std::vector<std::vector<routed_token>> all(1);
    run_steps(run, all_tokens, {}, weights.shared_gate, {}, [&](std::size_t tile, const matrix& rows) {
        const matrix gates = projected(run.source, weights.shared_gate, rows, run.threads);
        for (Eigen::Index r = 0; r < rows.rows(); ++r)
            all[0].push_back({static_cast<Eigen::Index>(in.first_row(tile)) + r, sigmoid(gates(r, 0))});
    });
    add_experts(run, {&weights.shared, 1}, all, weight_target::output, in, out);
}

}  // namespace tessera::decoder
