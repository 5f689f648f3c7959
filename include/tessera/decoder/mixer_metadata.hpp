// What metadata say of rotations, latent attention and delta nets.
#pragma once

#include <cmath>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include "tessera/core/error.hpp"
#include "tessera/decoder/architectures.hpp"
#include "tessera/decoder/metadata_reader.hpp"
#include "tessera/decoder/model_spec.hpp"

namespace tessera::decoder {

/// Rotary position embedding.
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
    const bool has_weight =
        row.yarn == yarn_target::scores && read.number_or_zero("rope.scaling.yarn_log_multiplier", 0.0f) != 0.0;
    if (rope.scaling == rope_scaling::yarn && !has_weight) rope.magnitude *= 0.1 * std::log(rope.factor) + 1.0;
    return rope;
}

/// Compressed keys and values. Changes what `spec` says of attention, too: its heads compare rank + rope dims numbers,
/// all with one key.
inline void read_latent(const metadata_reader& read, model_spec& spec) {
    rope_spec& rope = spec.global.rope;
    spec.latent.rank = read.count("attention.kv_lora_rank", 1, 1 << 16);
    spec.latent.query_rank = read.count_or("attention.q_lora_rank", 0, 0);
    rope.first = spec.latent.rank;
    if (read.has("attention.key_length_mla")) {
        spec.latent.head_size = read.count("attention.key_length_mla", rope.dims + 1, 1 << 16);
        spec.latent.value_size = read.count("attention.value_length_mla", 1, 1 << 16);
        if (spec.head_size != rope.first + rope.dims)
            read.refuse("attention.key_length", spec.head_size, "kv_lora_rank + rope.dimension_count = ", rope.first,
                        " + ", rope.dims);
        if (spec.value_size != rope.first)
            read.refuse("attention.value_length", spec.value_size, "kv_lora_rank = ", rope.first);
        if (spec.kv_heads != 1) read.refuse("attention.head_count_kv", spec.kv_heads, 1);
    } else {  // older files have the sizes of expanded keys and values
        if (spec.head_size <= rope.dims)
            read.refuse("attention.key_length", spec.head_size, "more than rope.dimension_count = ", rope.dims);
        spec.latent.head_size = std::exchange(spec.head_size, rope.first + rope.dims);
        spec.latent.value_size = std::exchange(spec.value_size, rope.first);
        spec.kv_heads = 1;
    }
    spec.attention_scale = 1.0 / std::sqrt(static_cast<double>(spec.latent.head_size));
    // What the rotated numbers are multiplied with, the others are, too: once for queries, once for keys.
    double m = rope.magnitude;
    if (rope.scaling == rope_scaling::yarn)
        m *= 1.0 + read.number_or_zero("rope.scaling.yarn_log_multiplier", 0.0f) * std::log(rope.factor);
    spec.attention_scale *= m * m;
    spec.global.temperature.weight = read.number_or_zero("attention.temperature_scale", 0.0f);
    if (spec.global.temperature.weight != 0)
        spec.global.temperature.step = read.count("attention.temperature_length", 1);
}

/// A gated delta net.
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

}  // namespace tessera::decoder
