// The gated feed-forward network.
#pragma once

#include <cstddef>

#include "tessera/model/activation.hpp"
#include "tessera/model/decoder_spec.hpp"
#include "tessera/model/linear.hpp"
#include "tessera/model/matrix.hpp"

namespace tessera::model {

/// down(activation(gate(x)) * up(x)).
struct feed_forward_weights {
    linear gate, up, down;
};

/// inner = activation(gate(x)) * up(x) for every row x of `in`. Both matrices pass through memory together, so that
/// only one buffer of tokens x inner width is needed.
template <tensor_source Source, class In>
void gate_and_up(const Source& source, const feed_forward_weights& weights, activation kind, const In& in,
                 matrix& inner, int threads) {
    inner.resize(in.rows(), static_cast<Eigen::Index>(weights.gate.outputs));
    for_each_product_tile<2>(
        source, {&weights.gate, &weights.up}, in.rows(), threads, [&](const product_tile<2>& tile) {
            const auto x = in.middleRows(tile.first_token, tile.tokens);
            auto gate = inner.block(tile.first_token, tile.first_output, tile.tokens, tile.outputs);
            gate.noalias() = x * tile.weight(0).transpose();
            tile.add_bias(weights.gate, gate);
            matrix up(tile.tokens, tile.outputs);
            up.noalias() = x * tile.weight(1).transpose();
            tile.add_bias(weights.up, up);
            for (Eigen::Index r = 0; r < tile.tokens; ++r)
                apply_gate(kind, gate.row(r).data(), up.row(r).data(), static_cast<std::size_t>(tile.outputs));
        });
}

}  // namespace tessera::model
