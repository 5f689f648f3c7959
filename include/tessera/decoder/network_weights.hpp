// The tensors of a layer's feed-forward network: dense, or a mixture of experts.
#pragma once

#include <cstddef>
#include <string>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include "tessera/decoder/experts.hpp"
#include "tessera/decoder/feed_forward.hpp"
#include "tessera/decoder/linear.hpp"
#include "tessera/decoder/model_spec.hpp"
#include "tessera/decoder/weight_binder.hpp"
#include "tessera/tensor/concepts.hpp"

namespace tessera::decoder {

using network_weights = std::variant<feed_forward_weights, expert_weights>;

/// The tensor whose products a network ends with.
[[nodiscard]] inline const tensor_info& last_tensor(const network_weights& network) {
    const auto* experts = std::get_if<expert_weights>(&network);
    return *(experts ? experts->experts.front() : std::get<feed_forward_weights>(network)).down.tensor;
}

namespace detail {

template <tensor_source Source>
[[nodiscard]] feed_forward_weights bind_dense(weight_binder<Source>& binder, const model_spec& spec,
                                              const std::string& block) {
    feed_forward_weights weights;
    const std::size_t inner = spec.feed_forward;
    if (spec.block.fused_gate) {
        const linear both = binder.matrix(block + "ffn_up", spec.width, 2 * inner);
        weights.gate = slice(both, 0, inner);
        weights.up = slice(both, inner, inner);
    } else {
        weights.gate = binder.matrix(block + "ffn_gate", spec.width, inner);
        weights.up = binder.matrix(block + "ffn_up", spec.width, inner);
    }
    weights.down = binder.matrix(block + "ffn_down", inner, spec.width);
    return weights;
}

template <tensor_source Source>
[[nodiscard]] expert_weights bind_experts(weight_binder<Source>& binder, const model_spec& spec,
                                          const std::string& block) {
    const auto& [count, inner, shared] = std::tie(spec.experts.count, spec.experts.feed_forward, spec.experts.shared);
    expert_weights weights;
    weights.router = binder.matrix(block + "ffn_gate_inp", spec.width, count);
    weights.selection_bias = binder.values_if(spec.block.expert_bias, block + "exp_probs_b.bias", {count});
    std::vector<linear> gate, up;
    if (binder.has(block + "ffn_gate_up_exps.weight")) {
        for (const linear& both : binder.matrices(block + "ffn_gate_up_exps", spec.width, 2 * inner, count)) {
            gate.push_back(slice(both, 0, inner));
            up.push_back(slice(both, inner, inner));
        }
    } else {
        gate = binder.matrices(block + "ffn_gate_exps", spec.width, inner, count);
        up = binder.matrices(block + "ffn_up_exps", spec.width, inner, count);
    }
    std::vector<linear> down = binder.matrices(block + "ffn_down_exps", inner, spec.width, count);
    for (std::size_t e = 0; e < count; ++e)
        weights.experts.push_back({std::move(gate[e]), std::move(up[e]), std::move(down[e])});
    if (shared == 0) return weights;

    weights.shared = {binder.matrix(block + "ffn_gate_shexp", spec.width, shared),
                      binder.matrix(block + "ffn_up_shexp", spec.width, shared),
                      binder.matrix(block + "ffn_down_shexp", shared, spec.width)};
    if (spec.block.gated_shared)
        weights.shared_gate = {&binder.take(block + "ffn_gate_inp_shexp.weight", {spec.width}), 0, 1, {}};
    return weights;
}

}  // namespace detail

/// The tensors of a layer's network, under names that start with `block`.
template <tensor_source Source>
[[nodiscard]] network_weights bind_network(weight_binder<Source>& binder, const model_spec& spec, bool experts,
                                           const std::string& block) {
    if (experts) return detail::bind_experts(binder, spec, block);
    return detail::bind_dense(binder, spec, block);
}

}  // namespace tessera::decoder
