// From a model's metadata to its architecture as a value.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/core/metadata.hpp"
#include "tessera/model/decoder_architectures.hpp"
#include "tessera/model/decoder_spec.hpp"
#include "tessera/model/metadata_reader.hpp"

namespace tessera::model {

namespace detail {

[[nodiscard]] inline rope_spec read_rope(const metadata_reader& read, const architecture& row, std::size_t head_size) {
    rope_spec rope;
    rope.pairing = row.pairing;
    rope.dims = read.count_or("rope.dimension_count", head_size, 2, head_size);
    if (rope.dims % 2 != 0) read.refuse("rope.dimension_count", rope.dims, "an even number");
    rope.base = read.number_or("rope.freq_base", 10000.0f, 1.0f);
    rope.magnitude = read.number_or("rope.scaling.attn_factor", 1.0f, 0.0f);
    const std::string_view original = "rope.scaling.original_context_length";
    rope.original_context = static_cast<double>(read.count(read.has(original) ? original : "context_length", 1));
    const std::string scaling = read.text_or("rope.scaling.type", "linear");
    if (scaling == "none") return rope;
    if (scaling != "linear" && scaling != "yarn")
        fail("metadata key ", read.name("rope.scaling.type"), ": wanted none, linear or yarn, got ", scaling);
    rope.factor = read.number_or("rope.scaling.factor", 1.0f, 0.0f);
    rope.scaling = scaling == "yarn" ? rope_scaling::yarn : rope_scaling::linear;
    if (rope.scaling == rope_scaling::yarn && row.yarn == yarn_target::rotations)
        rope.magnitude *= 0.1 * std::log(rope.factor) + 1.0;
    return rope;
}

// Compressed keys and values: heads of attention compare rank + rope dims numbers, all of them with one key.
inline void read_latent(const metadata_reader& read, decoder_spec& spec) {
    rope_spec& rope = spec.global.rope;
    spec.latent.rank = read.count("attention.kv_lora_rank", 1, 1 << 16);
    spec.latent.query_rank = read.count_or("attention.q_lora_rank", 0, 0);
    spec.latent.head_size = read.count("attention.key_length_mla", rope.dims + 1, 1 << 16);
    spec.latent.value_size = read.count("attention.value_length_mla", 1, 1 << 16);
    rope.first = spec.latent.rank;
    if (spec.head_size != rope.first + rope.dims)
        read.refuse("attention.key_length", spec.head_size, "kv_lora_rank + rope.dimension_count = ", rope.first, " + ",
                    rope.dims);
    if (spec.value_size != rope.first)
        read.refuse("attention.value_length", spec.value_size, "kv_lora_rank = ", rope.first);
    if (spec.kv_heads != 1) read.refuse("attention.head_count_kv", spec.kv_heads, 1);
    spec.attention_scale = 1.0 / std::sqrt(static_cast<double>(spec.latent.head_size));
    if (rope.scaling != rope_scaling::yarn) return;
    const double m = 1.0 + read.number_or_zero("rope.scaling.yarn_log_multiplier", 0.0f) * std::log(rope.factor);
    spec.attention_scale *= m * m;
}

[[nodiscard]] inline delta_net_spec read_delta_net(const metadata_reader& read, head_order order) {
    delta_net_spec net;
    net.kernel = read.count("ssm.conv_kernel", 1, 64);
    net.head_size = read.count("ssm.state_size", 1, 1 << 12);
    net.key_heads = read.count("ssm.group_count", 1, 1 << 12);
    net.value_heads = read.count("ssm.time_step_rank", 1, 1 << 12);
    net.order = order;
    if (net.value_heads % net.key_heads != 0)
        read.refuse("ssm.time_step_rank", net.value_heads, "a multiple of the ", net.key_heads, " key heads");
    if (const std::size_t inner = read.count("ssm.inner_size", 1); inner != net.value_heads * net.head_size)
        read.refuse("ssm.inner_size", inner, "time_step_rank x state_size = ", net.value_heads, " x ", net.head_size);
    return net;
}

[[nodiscard]] inline std::size_t read_shared_width(const metadata_reader& read, shared_width given,
                                                   const decoder_spec& spec) {
    switch (given) {
        case shared_width::none: return 0;
        case shared_width::one_expert: return spec.experts.feed_forward;
        case shared_width::count_of_experts:
            return spec.experts.feed_forward * read.count("expert_shared_count", 0, spec.experts.count);
        case shared_width::own_key: return read.count_or("expert_shared_feed_forward_length", spec.feed_forward, 1);
    }
    return 0;
}

[[nodiscard]] inline expert_spec read_experts(const metadata_reader& read, const architecture& row,
                                              const decoder_spec& spec) {
    const routing_defaults& defaults = row.routing;
    expert_spec experts;
    experts.count = read.count_or("expert_count", 0, 0, 1024);
    if (experts.count == 0) return experts;
    experts.used = read.count("expert_used_count", 1, experts.count);
    experts.feed_forward = read.count_or("expert_feed_forward_length", spec.feed_forward, 1);
    experts.gating = defaults.gating;
    experts.weighting = defaults.weighting;
    experts.target = defaults.target;
    const double scale = read.number_or_zero("expert_weights_scale", 1.0f);
    experts.scale = scale == 0.0 ? 1.0 : scale;
    if (!defaults.in_metadata) return experts;

    switch (read.count_or("expert_gating_func", 0, 0, 3)) {  // libllama's numbers
        case 1: experts.gating = expert_gating::softmax; break;
        case 2: experts.gating = expert_gating::sigmoid; break;
        case 3: experts.gating = expert_gating::softmax_of_chosen; break;
        default: break;
    }
    if (read.flag_or("expert_weights_norm", false)) experts.weighting = expert_weighting::renormalised;
    experts.groups = std::max<std::size_t>(1, read.count_or("expert_group_count", 0, 0, experts.count));
    if (experts.groups == 1) return experts;
    if (experts.count % experts.groups != 0)
        read.refuse("expert_group_count", experts.groups, "a divisor of the ", experts.count, " experts");
    experts.groups_used = read.count("expert_group_used_count", 1, experts.groups);
    if (const std::size_t reachable = experts.count / experts.groups * experts.groups_used; experts.used > reachable)
        read.refuse("expert_used_count", experts.used, "at most the ", reachable, " experts of the groups used");
    return experts;
}

// What a query sees in layers of either kind, and which layer is of which kind.
inline void read_layers(const metadata_reader& read, const architecture& row, decoder_spec& spec) {
    layer_pattern pattern = row.pattern;
    spec.local = spec.global;
    if (row.local_rope_base) {
        spec.local.rope.base = read.number_or("rope.freq_base_swa", *row.local_rope_base, 1.0f);
        spec.local.rope.scaling = rope_scaling::none;
    }
    if (pattern.chunk != 0) {  // any window but 0 stands for the architecture's own
        spec.local.chunk = read.count_or("attention.sliding_window", pattern.chunk, 0) == 0 ? 0 : pattern.chunk;
        spec.local.unit_heads = spec.experts.count != 128;
        spec.global.rope.dims = 0;
        spec.global.growth_step = pattern.chunk;
        if (spec.local.chunk == 0) pattern.period = 0;
    } else if (pattern.others == mixer_kind::local_attention) {
        spec.local.window = read.count_or("attention.sliding_window", pattern.window, 0);
        pattern.period =
            spec.local.window == 0 ? 1 : read.count_or("attention.sliding_window_pattern", pattern.period, 0);
    } else if (pattern.others == mixer_kind::delta_net) {
        spec.delta_net = read_delta_net(read, row.delta_heads);
        pattern.period = read.count_or("full_attention_interval", pattern.period, 1);
    }

    const std::size_t blocks = read.count("block_count", 1, 512);
    spec.unused_layers = read.count_or("nextn_predict_layers", 0, 0, blocks - 1);
    spec.layers.resize(blocks - spec.unused_layers);
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
[[nodiscard]] inline decoder_spec make_decoder_spec(const metadata& properties) {
    const architecture& row = find_architecture(properties.require<std::string>("general.architecture"));
    const metadata_reader read(properties, row.name);
    decoder_spec spec;
    spec.architecture = row.name;
    spec.block = row.block;
    spec.width = read.count("embedding_length", 1);
    spec.feed_forward = read.count("feed_forward_length", 1);
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
    spec.global.rope = detail::read_rope(read, row, spec.head_size);
    if (row.latent_attention) detail::read_latent(read, spec);
    spec.experts = detail::read_experts(read, row, spec);
    if (spec.experts.count != 0) spec.experts.shared = detail::read_shared_width(read, row.routing.shared, spec);
    detail::read_layers(read, row, spec);
    if (spec.layers.size() == row.layers_with_width_scale)
        spec.attention_scale = 1.0 / std::sqrt(static_cast<double>(spec.width) / static_cast<double>(spec.heads));

    const auto* tokens = properties.get<std::vector<std::string>>("tokenizer.ggml.tokens");
    spec.vocabulary = read.count_or("vocab_size", tokens == nullptr ? 0 : tokens->size(), 1);
    return spec;
}

}  // namespace tessera::model
