// The tensors of a model, each found by name, checked against the architecture and put in its place.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/core/tensor_info.hpp"
#include "tessera/decoder/linear.hpp"
#include "tessera/decoder/mixer_weights.hpp"
#include "tessera/decoder/model_spec.hpp"
#include "tessera/decoder/network_weights.hpp"
#include "tessera/decoder/weight_binder.hpp"
#include "tessera/tensor/concepts.hpp"

namespace tessera::decoder {

/// The weights of one block: x += post(output(mixer(norm x))); x += post(network(norm x)).
struct layer_weights {
    std::vector<float> mixer_norm;
    mixer_weights mixer;
    std::vector<float> mixer_post_norm;  ///< or none
    std::vector<float> network_norm;
    network_weights network;
    std::vector<float> network_post_norm;  ///< or none
};

/// The weights of a model. Matrices stay in the source until they are used; vectors are here.
struct model_weights {
    const tensor_info* embedding = nullptr;
    std::vector<float> rope_factors;       ///< empty when the model has none
    std::vector<float> long_rope_factors;  ///< instead, for contexts longer than the original one
    std::vector<layer_weights> layers;
    std::vector<float> output_norm;
    linear output;  ///< the embedding itself when the model has no output matrix
};

namespace detail {

template <tensor_source Source>
layer_weights bind_layer(weight_binder<Source>& binder, const model_spec& spec, const layer_spec& kind,
                         const std::string& block) {
    const auto norm = [&](const char* name) { return binder.values(block + name, {spec.width}); };
    const block_norms norms = spec.block.norms;
    layer_weights layer;
    layer.mixer_norm = norm("attn_norm.weight");
    layer.mixer = bind_mixer(binder, spec, kind.mixer, block);
    if (norms == block_norms::around) layer.mixer_post_norm = norm("post_attention_norm.weight");
    layer.network_norm = norm(norms == block_norms::before_as_post ? "post_attention_norm.weight" : "ffn_norm.weight");
    layer.network = bind_network(binder, spec, kind.experts, block);
    if (norms == block_norms::around) layer.network_post_norm = norm("post_ffw_norm.weight");
    return layer;
}

// Divisors of the angles of a rotation.
template <tensor_source Source>
std::vector<float> bind_rope_factors(weight_binder<Source>& binder, const model_spec& spec, const std::string& name) {
    std::vector<float> factors = binder.values_if(presence::optional, name, {spec.local.rope.dims / 2});
    for (const float factor : factors)
        if (!(factor > 0.0f)) fail("tensor ", name, ": wanted positive factors, got ", factor);
    return factors;
}

}  // namespace detail

/// Finds the tensors that `spec` asks for. Throws naming the tensor when one is missing, has other dimensions than
/// wanted, or is not known to the architecture: a model with a part that would be ignored gives wrong figures.
template <tensor_source Source>
[[nodiscard]] model_weights bind_weights(const Source& source, const model_spec& spec) {
    weight_binder<Source> binder(source);
    const auto block_name = [](std::size_t l) { return concat("blk.", l, '.'); };
    model_weights weights;
    weights.embedding = &binder.take("token_embd.weight", {spec.width, spec.vocabulary});
    const bool two_ranges = binder.has("rope_factors_long.weight");
    weights.rope_factors =
        detail::bind_rope_factors(binder, spec, two_ranges ? "rope_factors_short.weight" : "rope_freqs.weight");
    weights.long_rope_factors = detail::bind_rope_factors(binder, spec, "rope_factors_long.weight");
    for (std::size_t l = 0; l < spec.layers.size(); ++l)
        weights.layers.push_back(detail::bind_layer(binder, spec, spec.layers[l], block_name(l)));
    for (std::size_t l = 0; l < spec.mtp_layers; ++l) binder.ignore(block_name(spec.layers.size() + l));
    weights.output_norm = binder.values("output_norm.weight", {spec.width});
    weights.output = binder.has("output.weight") ? binder.matrix("output", spec.width, spec.vocabulary)
                                                 : linear{weights.embedding, 0, spec.vocabulary, {}};
    binder.require_all_taken(spec.architecture);
    return weights;
}

}  // namespace tessera::decoder
