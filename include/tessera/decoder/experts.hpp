// Mixture of experts: the sum of what comes back from them.
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <utility>
#include <vector>

#include "tessera/core/error.hpp"
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

}  // namespace detail

/// out += the weighted sum of the chosen experts' results, for every row of `in`. One expert after the other, so that
/// the weights of each are read once for as many tokens as a tile has, and sums have one order.
template <tensor_source Source>
void add_experts(const layer_run<Source>& run, std::span<const feed_forward_weights> experts,
                 std::span<const std::vector<routed_token>> routed, weight_target target, const activations& in,
                 activations& out) {
    const auto of_input = [&](const routed_token& t) { return target == weight_target::input ? t.weight : 1.0f; };
    const auto of_output = [&](const routed_token& t) { return target == weight_target::input ? 1.0f : t.weight; };
    for (std::size_t e = 0; e < experts.size(); ++e) {
        const std::span<const routed_token> tokens = routed[e];
        if (tokens.empty()) continue;
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
        route(spec, weights.selection_bias, static_cast<Eigen::Index>(in.first_row(tile)), logits, routed);
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
