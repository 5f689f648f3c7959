// Small directories of Qwen3-Next and Qwen3.5, whose linear attention is cut and reordered in GGUF, each with its
// transform written as plain loops.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "huggingface/families.hpp"
#include "huggingface/family.hpp"

namespace support::families {

constexpr std::size_t linear_head = 8, linear_keys = 2, linear_values = 6, per_key = 3, kernel = 4;
constexpr std::size_t mixed = (2 * linear_keys + linear_values) * linear_head;

/// Without embeddings and layers.
inline model_family hybrid(const char* name, bool has_experts) {
    model_family family(name, 4);
    family.directory.norm_shift = 1.0f;
    auto& config = family.directory.config;
    config["head_dim"] = 16;
    config["intermediate_size"] = 48;
    config["linear_conv_kernel_dim"] = kernel;
    config["linear_key_head_dim"] = linear_head;
    config["linear_value_head_dim"] = linear_head;
    config["linear_num_key_heads"] = linear_keys;
    config["linear_num_value_heads"] = linear_values;
    config["partial_rotary_factor"] = 0.5;
    config["rope_theta"] = 10000;
    if (has_experts) {
        config["moe_intermediate_size"] = 16;
        config["shared_expert_intermediate_size"] = 20;
        config["num_experts"] = 6;
        config["num_experts_per_tok"] = 2;
    }
    return family;
}

inline void add_hybrid_norms_and_feed_forward(model_family& family, bool has_experts) {
    add_norms(family, "post_attention_norm.weight");
    if (!has_experts) return family.add_feed_forward(48);
    family.add_experts(6, 16);
    add_shared_expert(family, 20);
}

inline void add_gated_attention(model_family& family) {
    family.same("attn_q.weight", "self_attn.q_proj.weight", {embedding, 2 * heads * 16});
    family.same("attn_k.weight", "self_attn.k_proj.weight", {embedding, key_heads * 16});
    family.same("attn_v.weight", "self_attn.v_proj.weight", {embedding, key_heads * 16});
    family.same("attn_output.weight", "self_attn.o_proj.weight", {heads * 16, embedding});
    family.add_head_norms(16);
}

inline values negative_exp(values logs) {
    for (float& x : logs) x = -std::exp(x);
    return logs;
}

inline model_family qwen3next() {
    model_family family = hybrid("Qwen3NextForCausalLM", true);
    family.add_ends();
    family.directory.add("mtp.fc.weight", {2 * embedding, embedding});  // left out
    for (std::uint64_t layer = 0; layer < 4; ++layer) {
        family.begin_layer(layer);
        add_hybrid_norms_and_feed_forward(family, true);
        if (layer == 3) {
            add_gated_attention(family);
            continue;
        }
        family.same("ssm_ba.weight", "linear_attn.in_proj_ba.weight", {embedding, 2 * linear_values});
        family.same("ssm_conv1d.weight", "linear_attn.conv1d.weight", {kernel, 1, mixed});
        family.same("ssm_dt.bias", "linear_attn.dt_bias", {linear_values});
        family.same("ssm_norm.weight", "linear_attn.norm.weight", {linear_head});
        family.same("ssm_out.weight", "linear_attn.out_proj.weight", {linear_values * linear_head, embedding});
        family.wanted[family.block + "ssm_a"] = negative_exp(family.in_layer("linear_attn.A_log", {linear_values}));

        constexpr std::size_t of_key = (2 + 2 * per_key) * linear_head;
        const values all = family.in_layer("linear_attn.in_proj_qkvz.weight", {embedding, linear_keys * of_key});
        values queries, keys, others, gates;
        for (std::size_t row = 0; row < linear_keys * of_key; ++row) {
            const std::size_t inside = row % of_key / linear_head;
            values& to = inside == 0 ? queries : inside == 1 ? keys : inside < 2 + per_key ? others : gates;
            for (std::size_t c = 0; c < embedding; ++c) to.push_back(all[row * embedding + c]);
        }
        queries.insert(queries.end(), keys.begin(), keys.end());
        queries.insert(queries.end(), others.begin(), others.end());
        family.wanted[family.block + "attn_qkv.weight"] = queries;
        family.wanted[family.block + "attn_gate.weight"] = gates;
    }
    return family;
}

inline model_family qwen35(bool has_experts) {
    model_family family =
        hybrid(has_experts ? "Qwen3_5MoeForConditionalGeneration" : "Qwen3_5ForCausalLM", has_experts);
    auto& config = family.directory.config;
    config.erase("partial_rotary_factor");
    config.erase("rope_theta");
    config["rope_parameters"] = {
        {"rope_type", "default"}, {"rope_theta", 10000}, {"mrope_section", {2, 1, 1}}, {"partial_rotary_factor", 0.5}};
    if (has_experts) {
        family.directory.add("model.visual.patch_embed.proj.bias", {7});
        nlohmann::json text = config;
        text.erase("architectures");
        config = {{"architectures", config["architectures"]},
                  {"tie_word_embeddings", false},
                  {"text_config", text},
                  {"vision_config", nlohmann::json::object()}};
    }
    family.add_ends();

    // Value head j of key head i goes from i * per_key + j to j * linear_keys + i.
    const auto interleaved = [](const values& from, std::size_t head_values, std::size_t offset = 0) {
        values to(from);
        for (std::size_t i = 0; i < linear_keys; ++i)
            for (std::size_t j = 0; j < per_key; ++j)
                for (std::size_t x = 0; x < head_values; ++x)
                    to[offset + (j * linear_keys + i) * head_values + x] =
                        from[offset + (i * per_key + j) * head_values + x];
        return to;
    };
    constexpr std::size_t keys_end = 2 * linear_keys * linear_head;
    for (std::uint64_t layer = 0; layer < 4; ++layer) {
        family.begin_layer(layer);
        add_hybrid_norms_and_feed_forward(family, has_experts);
        if (layer == 3) {
            add_gated_attention(family);
            continue;
        }
        const std::string la = "linear_attn.";
        auto& wanted = family.wanted;
        const std::string& block = family.block;
        wanted[block + "attn_qkv.weight"] = interleaved(family.in_layer(la + "in_proj_qkv.weight", {embedding, mixed}),
                                                        linear_head * embedding, keys_end * embedding);
        wanted[block + "attn_gate.weight"] =
            interleaved(family.in_layer(la + "in_proj_z.weight", {embedding, linear_values * linear_head}),
                        linear_head * embedding);
        wanted[block + "ssm_beta.weight"] =
            interleaved(family.in_layer(la + "in_proj_b.weight", {embedding, linear_values}), embedding);
        wanted[block + "ssm_alpha.weight"] =
            interleaved(family.in_layer(la + "in_proj_a.weight", {embedding, linear_values}), embedding);
        wanted[block + "ssm_conv1d.weight"] = interleaved(family.in_layer(la + "conv1d.weight", {kernel, 1, mixed}),
                                                          linear_head * kernel, keys_end * kernel);
        wanted[block + "ssm_dt.bias"] = interleaved(family.in_layer(la + "dt_bias", {linear_values}), 1);
        wanted[block + "ssm_a"] = negative_exp(interleaved(family.in_layer(la + "A_log", {linear_values}), 1));
        family.same("ssm_norm.weight", la + "norm.weight", {linear_head});
        const std::size_t width = linear_values * linear_head;
        const values out = family.in_layer(la + "out_proj.weight", {width, embedding});
        values& turned = wanted[block + "ssm_out.weight"];
        for (std::size_t row = 0; row < embedding; ++row) {
            const auto begin = out.begin() + static_cast<std::ptrdiff_t>(row * width);
            const values one = interleaved({begin, begin + static_cast<std::ptrdiff_t>(width)}, linear_head);
            turned.insert(turned.end(), one.begin(), one.end());
        }
    }
    return family;
}

/// Adds a layer for multi-token prediction.
inline void add_mtp_layer(model_family& family, bool has_experts) {
    auto& config = family.directory.config;
    (has_experts ? config["text_config"] : config)["mtp_num_hidden_layers"] = 1;
    family.prefix = "mtp.layers.0.";
    family.block = "blk.4.";
    add_hybrid_norms_and_feed_forward(family, has_experts);
    add_gated_attention(family);
    family.prefix = "mtp.";
    family.same("nextn.eh_proj.weight", "fc.weight", {2 * embedding, embedding});
    family.norm("nextn.enorm.weight", "pre_fc_norm_embedding.weight", embedding);
    family.norm("nextn.hnorm.weight", "pre_fc_norm_hidden.weight", embedding);
    family.norm("nextn.shared_head_norm.weight", "norm.weight", embedding);
}

}  // namespace support::families
