// The gated feed-forward network.
#pragma once

#include <cstddef>
#include <utility>

#include "tessera/decoder/activation.hpp"
#include "tessera/decoder/layer_run.hpp"
#include "tessera/decoder/layer_steps.hpp"
#include "tessera/decoder/linear.hpp"
#include "tessera/decoder/matrix.hpp"
#include "tessera/decoder/model_spec.hpp"

namespace tessera::decoder {

/// down(activation(gate(x)) * up(x)).
struct feed_forward_weights {
    linear gate, up, down;
};

/// A tile of activation(gate(x)) * up(x), given those of gate and up.
[[nodiscard]] inline matrix gated_product(const product_tile& tile, activation kind) {
    matrix gate = tile.product(0);
    const matrix up = tile.product(1);
    apply_gate(kind, gate.data(), up.data(), static_cast<std::size_t>(gate.size()));
    return gate;
}

/// inner = activation(gate(x)) * up(x) for every row x of `in`. Both matrices pass through memory together, so that
/// only one buffer of tokens x inner width is needed.
template <tensor_source Source, class In>
void gate_and_up(const Source& source, const feed_forward_weights& weights, activation kind, const In& in,
                 matrix& inner, int threads) {
    inner.resize(in.rows(), static_cast<Eigen::Index>(weights.gate.outputs));
    for_each_product_tile(source, {&weights.gate, &weights.up}, in, threads,
                          [&](const product_tile& tile) { tile.part_of(inner) = gated_product(tile, kind); });
}

/// The step from what the network sees to what `down` gets.
template <tensor_source Source>
[[nodiscard]] layer_step network_step(const layer_run<Source>& run, const feed_forward_weights& weights) {
    return {{{0, weights.gate.inputs(), {&weights.gate, &weights.up}}},
            weights.gate.outputs,
            [&run, &weights](std::size_t, matrix& rows) {
                matrix inner;
                gate_and_up(run.source, weights, run.spec.block.activation, rows, inner, run.threads);
                rows = std::move(inner);
            }};
}

}  // namespace tessera::decoder
