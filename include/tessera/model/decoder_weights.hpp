// The tensors of a model, each found by name, checked against the architecture and put in its place.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/core/tensor_info.hpp"
#include "tessera/model/attention.hpp"
#include "tessera/model/decoder_spec.hpp"
#include "tessera/model/delta_net.hpp"
#include "tessera/model/experts.hpp"
#include "tessera/model/feed_forward.hpp"
#include "tessera/model/latent_attention.hpp"
#include "tessera/model/linear.hpp"
#include "tessera/model/weight_binder.hpp"
#include "tessera/tensor/concepts.hpp"

namespace tessera::model {

/// The weights of one block: x += post(output(mixer(norm x))); x += post(network(norm x)).
struct layer_weights {
    std::vector<float> mixer_norm;
    std::variant<attention_weights, latent_weights, delta_net_weights> mixer;
    linear mixer_output;
    std::vector<float> mixer_post_norm;  ///< or none
    std::vector<float> network_norm;
    std::variant<feed_forward_weights, expert_weights> network;
    std::vector<float> network_post_norm;  ///< or none
};

/// The weights of a model. Matrices stay in the source until they are used; vectors are here.
struct decoder_weights {
    const tensor_info* embedding = nullptr;
    std::vector<float> rope_factors;       ///< empty when the model has none
    std::vector<float> long_rope_factors;  ///< instead, for contexts longer than the original one
    std::vector<layer_weights> layers;
    std::vector<float> output_norm;
    linear output;  ///< the embedding itself when the model has no output matrix
};

namespace detail {

template <tensor_source Source>
attention_weights bind_attention(weight_binder<Source>& binder, const decoder_spec& spec, const std::string& block) {
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
latent_weights bind_latent(weight_binder<Source>& binder, const decoder_spec& spec, const std::string& block) {
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
    weights.keys = binder.matrices(block + "attn_k_b", latent.head_size - rotated, latent.rank, spec.heads);
    weights.values = binder.matrices(block + "attn_v_b", latent.rank, latent.value_size, spec.heads);
    return weights;
}

template <tensor_source Source>
delta_net_weights bind_delta_net(weight_binder<Source>& binder, const decoder_spec& spec, const std::string& block) {
    const delta_net_spec& net = spec.delta_net;
    const std::size_t values = net.value_heads * net.head_size;
    const std::size_t channels = 2 * net.key_heads * net.head_size + values;
    delta_net_weights weights;
    weights.channels = binder.matrix(block + "attn_qkv", spec.width, channels);
    weights.gate = binder.matrix(block + "attn_gate", spec.width, values);
    if (binder.has(block + "ssm_ba.weight")) {  // key head after key head, the rates of its value heads, their decays
        const std::size_t each = net.value_heads / net.key_heads;
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

template <tensor_source Source>
void bind_mixer(weight_binder<Source>& binder, const decoder_spec& spec, mixer_kind kind, const std::string& block,
                layer_weights& layer) {
    const std::size_t mixed = spec.heads * (spec.latent.rank != 0 ? spec.latent.value_size : spec.value_size);
    if (kind == mixer_kind::delta_net) {
        layer.mixer = bind_delta_net(binder, spec, block);
        const delta_net_spec& net = spec.delta_net;
        layer.mixer_output = binder.matrix(block + "ssm_out", net.value_heads * net.head_size, spec.width);
        return;
    }
    if (spec.latent.rank != 0)
        layer.mixer = bind_latent(binder, spec, block);
    else
        layer.mixer = bind_attention(binder, spec, block);
    layer.mixer_output = binder.matrix(block + "attn_output", mixed, spec.width);
}

template <tensor_source Source>
feed_forward_weights bind_dense(weight_binder<Source>& binder, const decoder_spec& spec, const std::string& block) {
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
expert_weights bind_experts(weight_binder<Source>& binder, const decoder_spec& spec, const std::string& block) {
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

template <tensor_source Source>
layer_weights bind_layer(weight_binder<Source>& binder, const decoder_spec& spec, const layer_spec& kind,
                         const std::string& block) {
    const auto norm = [&](const char* name) { return binder.values(block + name, {spec.width}); };
    const block_norms norms = spec.block.norms;
    layer_weights layer;
    layer.mixer_norm = norm("attn_norm.weight");
    bind_mixer(binder, spec, kind.mixer, block, layer);
    if (norms == block_norms::around) layer.mixer_post_norm = norm("post_attention_norm.weight");
    layer.network_norm = norm(norms == block_norms::before_as_post ? "post_attention_norm.weight" : "ffn_norm.weight");
    if (kind.experts)
        layer.network = bind_experts(binder, spec, block);
    else
        layer.network = bind_dense(binder, spec, block);
    if (norms == block_norms::around) layer.network_post_norm = norm("post_ffw_norm.weight");
    return layer;
}

// Divisors of the angles of a rotation.
template <tensor_source Source>
std::vector<float> bind_rope_factors(weight_binder<Source>& binder, const decoder_spec& spec, const std::string& name) {
    std::vector<float> factors = binder.values_if(presence::optional, name, {spec.local.rope.dims / 2});
    for (const float factor : factors)
        if (!(factor > 0.0f)) fail("tensor ", name, ": wanted positive factors, got ", factor);
    return factors;
}

}  // namespace detail

/// Finds the tensors that `spec` asks for. Throws naming the tensor when one is missing, has other dimensions than
/// wanted, or is not known to the architecture: a model with a part that would be ignored gives wrong figures.
template <tensor_source Source>
[[nodiscard]] decoder_weights bind_weights(const Source& source, const decoder_spec& spec) {
    weight_binder<Source> binder(source);
    const auto block_name = [](std::size_t l) { return concat("blk.", l, '.'); };
    decoder_weights weights;
    weights.embedding = &binder.take("token_embd.weight", {spec.width, spec.vocabulary});
    const bool two_ranges = binder.has("rope_factors_long.weight");
    weights.rope_factors =
        detail::bind_rope_factors(binder, spec, two_ranges ? "rope_factors_short.weight" : "rope_freqs.weight");
    weights.long_rope_factors = detail::bind_rope_factors(binder, spec, "rope_factors_long.weight");
    for (std::size_t l = 0; l < spec.layers.size(); ++l)
        weights.layers.push_back(detail::bind_layer(binder, spec, spec.layers[l], block_name(l)));
    for (std::size_t l = 0; l < spec.unused_layers; ++l) binder.ignore(block_name(spec.layers.size() + l));
    weights.output_norm = binder.values("output_norm.weight", {spec.width});
    weights.output = binder.has("output.weight") ? binder.matrix("output", spec.width, spec.vocabulary)
                                                 : linear{weights.embedding, 0, spec.vocabulary, {}};
    binder.require_all_taken(spec.architecture);
    return weights;
}

}  // namespace tessera::model
