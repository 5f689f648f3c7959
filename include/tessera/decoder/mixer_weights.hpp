// The tensors of a layer's mixer: attention, latent attention or a delta net.
#pragma once

#include <cstddef>
#include <string>
#include <variant>
#include <vector>

#include "tessera/decoder/attention.hpp"
#include "tessera/decoder/delta_net.hpp"
#include "tessera/decoder/latent_attention.hpp"
#include "tessera/decoder/linear.hpp"
#include "tessera/decoder/matrix.hpp"
#include "tessera/decoder/model_spec.hpp"
#include "tessera/decoder/weight_binder.hpp"
#include "tessera/tensor/concepts.hpp"

namespace tessera::decoder {

namespace detail {

template <tensor_source Source>
attention_weights bind_attention(weight_binder<Source>& binder, const model_spec& spec, const std::string& block) {
    const block_spec& parts = spec.block;
    const std::size_t queries = spec.heads * spec.head_size * (parts.gated_attention ? 2 : 1);
    const std::size_t keys = spec.kv_heads * spec.head_size;
    const std::size_t values = spec.kv_heads * spec.value_size;
    attention_weights weights;
    if (binder.has(block + "attn_qkv.weight")) {
        const linear all = binder.matrix(block + "attn_qkv", spec.width, queries + keys + values, parts.attention_bias);
        weights.query = slice(all, 0, queries);
        weights.key = slice(all, queries, keys);
        weights.value = slice(all, queries + keys, values);
    } else {
        weights.query = binder.matrix(block + "attn_q", spec.width, queries, parts.attention_bias);
        weights.key = binder.matrix(block + "attn_k", spec.width, keys, parts.attention_bias);
        weights.value = binder.matrix(block + "attn_v", spec.width, values, parts.attention_bias);
    }
    weights.query_norm = binder.values_if(parts.head_norms, block + "attn_q_norm.weight", {spec.head_size});
    weights.key_norm = binder.values_if(parts.head_norms, block + "attn_k_norm.weight", {spec.head_size});
    weights.sinks = binder.values_if(parts.sinks, block + "attn_sinks.weight", {spec.heads});
    return weights;
}

template <tensor_source Source>
latent_weights bind_latent(weight_binder<Source>& binder, const model_spec& spec, const std::string& block) {
    const latent_spec& latent = spec.latent;
    const std::size_t rotated = spec.global.rope.dims;
    const std::size_t queries = spec.heads * latent.head_size;
    latent_weights weights;
    if (latent.query_rank != 0) {
        weights.query_down = binder.matrix(block + "attn_q_a", spec.width, latent.query_rank);
        weights.query_norm = binder.values(block + "attn_q_a_norm.weight", {latent.query_rank});
        weights.query = binder.matrix(block + "attn_q_b", latent.query_rank, queries);
    } else {
        weights.query = binder.matrix(block + "attn_q", spec.width, queries);
    }
    weights.state = binder.matrix(block + "attn_kv_a_mqa", spec.width, latent.rank + rotated);
    weights.state_norm = binder.values(block + "attn_kv_a_norm.weight", {latent.rank});
    const std::size_t plain = latent.head_size - rotated;
    if (binder.has(block + "attn_kv_b.weight")) {  // older files: head after head, keys, then values
        const std::size_t both = plain + latent.value_size;
        const linear all = binder.matrix(block + "attn_kv_b", latent.rank, spec.heads * both);
        for (std::size_t h = 0; h < spec.heads; ++h) {
            weights.keys.push_back(slice(all, h * both, plain));
            weights.values.push_back(slice(all, h * both + plain, latent.value_size));
        }
        weights.transposed_keys = false;
        return weights;
    }
    weights.keys = binder.matrices(block + "attn_k_b", plain, latent.rank, spec.heads);
    weights.values = binder.matrices(block + "attn_v_b", latent.rank, latent.value_size, spec.heads);
    return weights;
}

template <tensor_source Source>
delta_net_weights bind_delta_net(weight_binder<Source>& binder, const model_spec& spec, const std::string& block) {
    const delta_net_spec& net = spec.delta_net;
    const std::size_t values = net.value_heads * net.head_size;
    const std::size_t channels = 2 * net.key_heads * net.head_size + values;
    delta_net_weights weights;
    const std::size_t each = net.value_heads / net.key_heads;
    if (binder.has(block + "ssm_in.weight")) {  // older files: key head after key head, its query, key, values, gates
        const std::size_t of_values = each * net.head_size, of_key = 2 * (net.head_size + of_values);
        const linear all = binder.matrix(block + "ssm_in", spec.width, channels + values);
        const auto gather = [&](std::vector<linear>& slices, std::size_t first, std::size_t rows) {
            for (std::size_t k = 0; k < net.key_heads; ++k) slices.push_back(slice(all, k * of_key + first, rows));
        };
        gather(weights.channels, 0, net.head_size);
        gather(weights.channels, net.head_size, net.head_size);
        gather(weights.channels, 2 * net.head_size, of_values);
        gather(weights.gate, 2 * net.head_size + of_values, of_values);
    } else {
        weights.channels.push_back(binder.matrix(block + "attn_qkv", spec.width, channels));
        weights.gate.push_back(binder.matrix(block + "attn_gate", spec.width, values));
    }
    if (binder.has(block + "ssm_ba.weight")) {  // key head after key head, the rates of its value heads, their decays
        const linear all = binder.matrix(block + "ssm_ba", spec.width, 2 * net.value_heads);
        for (std::size_t first = 0; first < all.outputs; first += 2 * each) {
            weights.rate.push_back(slice(all, first, each));
            weights.decay.push_back(slice(all, first + each, each));
        }
    } else {
        weights.rate.push_back(binder.matrix(block + "ssm_beta", spec.width, net.value_heads));
        weights.decay.push_back(binder.matrix(block + "ssm_alpha", spec.width, net.value_heads));
    }
    const std::vector<float> kernels = binder.values(block + "ssm_conv1d.weight", {net.kernel, channels});
    weights.kernel =
        const_matrix_map(kernels.data(), static_cast<Eigen::Index>(channels), static_cast<Eigen::Index>(net.kernel))
            .transpose();
    weights.decay_bias = binder.values(block + "ssm_dt.bias", {net.value_heads});
    weights.decay_scale = binder.values(block + "ssm_a", {net.value_heads});
    weights.head_norm = binder.values(block + "ssm_norm.weight", {net.head_size});
    return weights;
}

}  // namespace detail

/// The token mixer and its output projection.
struct mixer_weights {
    std::variant<attention_weights, latent_weights, delta_net_weights> heads;
    linear output;
};

/// The tensors of a layer's mixer, under names that start with `block`.
template <tensor_source Source>
[[nodiscard]] mixer_weights bind_mixer(weight_binder<Source>& binder, const model_spec& spec, mixer_kind kind,
                                       const std::string& block) {
    if (kind == mixer_kind::delta_net) {
        const std::size_t mixed = spec.delta_net.value_heads * spec.delta_net.head_size;
        return {detail::bind_delta_net(binder, spec, block), binder.matrix(block + "ssm_out", mixed, spec.width)};
    }
    if (spec.latent.rank != 0) {
        const std::size_t mixed = spec.heads * spec.latent.value_size;
        return {detail::bind_latent(binder, spec, block), binder.matrix(block + "attn_output", mixed, spec.width)};
    }
    const std::size_t mixed = spec.heads * spec.value_size;
    return {detail::bind_attention(binder, spec, block), binder.matrix(block + "attn_output", mixed, spec.width)};
}

}  // namespace tessera::decoder
