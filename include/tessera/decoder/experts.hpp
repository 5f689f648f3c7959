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

// What some experts work on together.
struct expert_batch {
    std::vector<std::size_t> experts;
    std::vector<matrix> gathered, inner, results;  // of each
};

// Experts from `next` on that have tokens: one, or as many as have together no more weights than a large one has in
// memory, nor more activations than weights. Moves `next` behind them.
[[nodiscard]] inline expert_batch next_batch(std::span<const feed_forward_weights> experts,
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

// What an expert adds to a token.
struct expert_share {
    Eigen::Index token;
    float factor;
    const float* row;
};

// Adds shares to the rows of their tokens. Those of one token are one after another, in the order of the experts.
inline void add_shares(std::span<const expert_share> shares, activations& to, int threads) {
    constexpr std::size_t block = 64;
    parallel_for((shares.size() + block - 1) / block, threads, [&](std::size_t b) {
        Eigen::RowVectorXf sum(static_cast<Eigen::Index>(to.columns()));
        const std::span<float> values(sum.data(), to.columns());
        std::size_t i = b * block;  // a task has the tokens that begin in its block
        while (i > 0 && i < shares.size() && shares[i].token == shares[i - 1].token) ++i;
        while (i < std::min(shares.size(), (b + 1) * block)) {
            const Eigen::Index token = shares[i].token;
            to.read_rows(static_cast<std::size_t>(token), values);
            for (; i < shares.size() && shares[i].token == token; ++i)
                sum += shares[i].factor * Eigen::Map<const Eigen::RowVectorXf>(shares[i].row, sum.cols());
            to.write_rows(static_cast<std::size_t>(token), values);
        }
    });
}

// Shows the rows of an expert in a batch.
template <tensor_source Source>
void show_rows(const layer_run<Source>& run, const matrix& rows, std::span<const linear* const> shared,
               std::span<const routed_token> routed) {
    if (!run.observer) return;
    const auto read = [&](std::size_t, matrix&) -> const matrix& { return rows; };
    const auto count = static_cast<std::size_t>(rows.rows());
    run.observe(input_tiles(read, count, count, 0, static_cast<std::size_t>(rows.cols())), shared, routed);
}

// out += the weighted sum of the results of some experts that share all products.
template <tensor_source Source>
void add_batch(const layer_run<Source>& run, std::span<const feed_forward_weights> experts, expert_batch& batch,
               std::span<const std::vector<routed_token>> routed, weight_target target, const activations& in,
               activations& out) {
    constexpr std::size_t block_rows = 64;
    const bool weigh_input = target == weight_target::input;
    const std::size_t size = batch.experts.size();
    std::vector<std::size_t> first_block{0};  // blocks of rows of the experts before
    for (std::size_t b = 0; b < size; ++b) {
        const std::size_t e = batch.experts[b];
        const auto count = static_cast<Eigen::Index>(routed[e].size());
        batch.gathered[b].resize(count, static_cast<Eigen::Index>(in.columns()));
        batch.inner[b].resize(count, static_cast<Eigen::Index>(experts[e].up.outputs));
        batch.results[b].resize(count, static_cast<Eigen::Index>(out.columns()));
        first_block.push_back(first_block.back() + (routed[e].size() + block_rows - 1) / block_rows);
    }
    parallel_for(first_block.back(), run.threads, [&](std::size_t block) {
        const auto after = std::ranges::upper_bound(first_block, block);
        const auto b = static_cast<std::size_t>(after - first_block.begin()) - 1;
        const std::vector<routed_token>& tokens = routed[batch.experts[b]];
        const std::size_t first = (block - first_block[b]) * block_rows;
        for (std::size_t r = first; r < std::min(first + block_rows, tokens.size()); ++r) {
            const auto place = static_cast<Eigen::Index>(r);
            in.read_rows(static_cast<std::size_t>(tokens[r].token), row(batch.gathered[b], place));
            batch.gathered[b].row(place) *= weigh_input ? tokens[r].weight : 1.0f;
        }
    });

    std::vector<std::array<const linear*, 2>> halves;
    std::vector<const linear*> downs;
    std::vector<product_group> groups;
    for (const std::size_t e : batch.experts) {
        halves.push_back({&experts[e].gate, &experts[e].up});
        downs.push_back(&experts[e].down);
    }
    for (std::size_t b = 0; b < size; ++b) {
        show_rows(run, batch.gathered[b], halves[b], routed[batch.experts[b]]);
        groups.emplace_back(halves[b], batch.gathered[b]);
    }
    for_each_product_tile(run.source, groups, run.threads, [&](const product_tile& tile) {
        tile.part_of(batch.inner[tile.group]) = gated_product(tile, run.spec.block.activation);
    });
    groups.clear();
    for (std::size_t b = 0; b < size; ++b) {
        show_rows(run, batch.inner[b], {&downs[b], 1}, routed[batch.experts[b]]);
        groups.emplace_back(std::span<const linear* const>(&downs[b], 1), batch.inner[b]);
    }
    for_each_product_tile(run.source, groups, run.threads,
                          [&](const product_tile& tile) { tile.part_of(batch.results[tile.group]) = tile.product(0); });

    std::vector<expert_share> shares;
    for (std::size_t b = 0; b < size; ++b)
        for (Eigen::Index r = 0; const auto& [token, weight] : routed[batch.experts[b]])
            shares.push_back({token, weigh_input ? 1.0f : weight, batch.results[b].row(r++).data()});
    std::ranges::stable_sort(shares, {}, &expert_share::token);
    add_shares(shares, out, run.threads);
}

}  // namespace detail

/// out += the weighted sum of the chosen experts' results, for every row of `in`. Small experts work in batches, so
/// that all threads have something to do; others work alone, on as many tokens at a time as a tile has. The weights of
/// each are read once for that, and sums are in the order of the experts.
template <tensor_source Source>
void add_experts(const layer_run<Source>& run, std::span<const feed_forward_weights> experts,
                 std::span<const std::vector<routed_token>> routed, weight_target target, const activations& in,
                 activations& out) {
    const auto of_input = [&](const routed_token& t) { return target == weight_target::input ? t.weight : 1.0f; };
    for (std::size_t next = 0; next < experts.size();) {
        detail::expert_batch batch = detail::next_batch(experts, routed, next);
        if (batch.experts.empty()) return;
        if (batch.experts.size() > 1) {
            detail::add_batch(run, experts, batch, routed, target, in, out);
            continue;
        }
        const std::size_t e = batch.experts.front();
        const std::span<const routed_token> tokens = routed[e];
        const auto tokens_of = [&](std::size_t tile) {
            const std::size_t first = tile * in.tile_rows();
            return tokens.subspan(first, std::min(in.tile_rows(), tokens.size() - first));
        };
        const auto make = [&](std::size_t tile, matrix& rows) {
            detail::gather(in, tokens_of(tile), of_input, rows, run.threads);
        };
        const layer_step step = network_step(run, experts[e]);
        run_steps(
            run, {tokens.size(), in.tile_rows(), make}, {&step, 1}, experts[e].down, tokens,
            [&](std::size_t tile, const matrix& inner) {
                const matrix results = projected(run.source, experts[e].down, inner, run.threads);
                std::vector<detail::expert_share> shares;
                for (Eigen::Index r = 0; const auto& [token, weight] : tokens_of(tile))
                    shares.push_back({token, target == weight_target::input ? 1.0f : weight, results.row(r++).data()});
                detail::add_shares(shares, out, run.threads);
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
        route(spec, weights.selection_bias, static_cast<Eigen::Index>(in.first_row(tile)), logits, run.threads, routed);
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
