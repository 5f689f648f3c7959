// From a model's metadata to its architecture as a value.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>
#include <vector>

#include "tessera/core/metadata.hpp"
#include "tessera/decoder/architectures.hpp"
#include "tessera/decoder/expert_metadata.hpp"
#include "tessera/decoder/metadata_reader.hpp"
#include "tessera/decoder/mixer_metadata.hpp"
#include "tessera/decoder/model_spec.hpp"

namespace tessera::decoder {

namespace detail {

// What a query sees in layers of either kind, and which layer is of which kind.
inline void read_layers(const metadata_reader& read, const architecture& row, model_spec& spec) {
    layer_pattern pattern = row.pattern;
    spec.local = spec.global;
    if (row.local_rope_base) {
        spec.local.rope.base = read.number_or("rope.freq_base_swa", *row.local_rope_base, 1.0f);
        spec.local.rope.scaling = rope_scaling::none;
        spec.local.rope.magnitude = read.number_or("rope.scaling.attn_factor", 1.0f, 0.0f);
    }
    if (pattern.chunk != 0) {  // any window but 0 stands for the architecture's own
        spec.local.chunk = read.count_or("attention.sliding_window", pattern.chunk, 0) == 0 ? 0 : pattern.chunk;
        spec.local.norm_after_rope = spec.experts.count != 128;
        spec.global.rope.dims = 0;
        spec.global.temperature = {.step = pattern.chunk, .offset = 1};
        if (spec.local.chunk == 0) pattern.period = 0;
    } else if (pattern.others == mixer_kind::local_attention) {
        spec.local.window = read.count_or("attention.sliding_window", pattern.window, 0);
        pattern.period =
            spec.local.window == 0 ? 1 : read.period_or("attention.sliding_window_pattern", pattern.period);
    } else if (pattern.others == mixer_kind::delta_net) {
        spec.delta_net = read_delta_net(read, row.delta_heads);
        pattern.period = read.count_or("full_attention_interval", pattern.period, 1);
    }

    const std::size_t blocks = spec.layers.size() + spec.mtp_layers;
    const std::size_t dense = read.count_or("leading_dense_block_count", 0, 0, blocks);
    const std::size_t step = read.count_or("interleave_moe_layer_step", 1, 1, blocks);
    for (std::size_t l = 0; l < spec.layers.size(); ++l) {
        const bool last_of_period = pattern.period != 0 && (l + 1) % pattern.period == 0;
        spec.layers[l].mixer = last_of_period ? mixer_kind::attention : pattern.others;
        spec.layers[l].experts = spec.experts.count != 0 && l >= dense && (l + 1) % step == 0;
    }
}

}  // namespace detail

/// The architecture of a model, from its metadata. Throws naming the key when the architecture is unknown, a key is
/// missing or has another type, or a number is out of range. Source: GGUF's generic keys and libllama's loader.
[[nodiscard]] inline model_spec make_model_spec(const metadata& properties) {
    const architecture& row = find_architecture(properties.require<std::string>("general.architecture"));
    const metadata_reader read(properties, row.name);
    model_spec spec;
    spec.architecture = row.name;
    spec.block = row.block;
    spec.width = read.count("embedding_length", 1);
    const std::size_t blocks = read.count("block_count", 1, 512);
    spec.mtp_layers = read.count_or("nextn_predict_layers", 0, 0, blocks - 1);
    spec.layers.resize(blocks - spec.mtp_layers);
    const auto* tokens = properties.get<std::vector<std::string>>("tokenizer.ggml.tokens");
    spec.vocabulary = read.count_or("vocab_size", tokens == nullptr ? 0 : tokens->size(), 1);
    if (tokens != nullptr && tokens->size() != spec.vocabulary)
        fail("metadata key tokenizer.ggml.tokens: wanted ", spec.vocabulary,
             " tokens, one a row of the embedding (vocab_size), got ", tokens->size());
    spec.feed_forward = read.count_or("feed_forward_length", 0, 0);
    spec.heads = read.count("attention.head_count", 1);
    spec.kv_heads = read.count_or("attention.head_count_kv", spec.heads, 1, spec.heads);
    if (spec.heads % spec.kv_heads != 0)
        read.refuse("attention.head_count_kv", spec.kv_heads, "a divisor of the ", spec.heads, " heads");
    const std::size_t even_share = spec.width / spec.heads;
    spec.head_size = read.count_or("attention.key_length", even_share, 2, 1 << 16);
    spec.value_size = read.count_or("attention.value_length", even_share, 1, 1 << 16);
    if (row.block.gated_attention && spec.value_size != spec.head_size)
        read.refuse("attention.value_length", spec.value_size, "as many as attention.key_length: ", spec.head_size);
    spec.norm_epsilon = read.number("attention.layer_norm_rms_epsilon", 0.0f);
    spec.attention_scale = 1.0 / std::sqrt(static_cast<double>(spec.head_size));
    if (row.scaled_embedding) spec.embedding_scale = std::sqrt(static_cast<double>(spec.width));
    if (row.attention_cap) spec.attention_cap = read.number_or_zero("attn_logit_softcapping", *row.attention_cap);
    if (row.logit_cap) spec.logit_cap = read.number_or_zero("final_logit_softcapping", *row.logit_cap);
    spec.global.rope = read_rope(read, row, spec.head_size);
    if (row.latent_attention) read_latent(read, spec);
    spec.experts = read_experts(read, row, spec);
    detail::read_layers(read, row, spec);
    const bool is_sparse = std::ranges::all_of(spec.layers, [](const layer_spec& layer) { return layer.experts; });
    if (!is_sparse) spec.feed_forward = read.count("feed_forward_length", 1);  // needed, then
    if (spec.layers.size() == row.layers_with_width_scale)
        spec.attention_scale = 1.0 / std::sqrt(static_cast<double>(spec.width) / static_cast<double>(spec.heads));

    return spec;
}

}  // namespace tessera::decoder
