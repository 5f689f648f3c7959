// Small directories of Hugging Face architectures whose tensors are cut, turned around or reordered in GGUF, each with
// its transform written as plain loops.
#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "huggingface/families.hpp"
#include "huggingface/family.hpp"

namespace support::families {

/// made[o][r][c] = from(o, r, c), row by row.
template <class From>
values filled(std::size_t outer, std::size_t rows, std::size_t columns, From&& from) {
    values made;
    for (std::size_t o = 0; o < outer; ++o)
        for (std::size_t r = 0; r < rows; ++r)
            for (std::size_t c = 0; c < columns; ++c) made.push_back(from(o, r, c));
    return made;
}

inline model_family llama4() {
    model_family family("Llama4ForCausalLM", 4);
    auto& config = family.directory.config;
    config["intermediate_size"] = 16;
    config["intermediate_size_mlp"] = 48;
    config["num_local_experts"] = 4;
    config["num_experts_per_tok"] = 1;
    config["interleave_moe_layer_step"] = 2;
    family.add_ends();
    for (std::uint64_t layer = 0; layer < 4; ++layer) {
        family.begin_layer(layer);
        add_norms(family);
        family.add_attention(8);
        if (layer % 2 == 0) {
            family.add_feed_forward(48, "feed_forward.");
            continue;
        }
        family.same("ffn_gate_inp.weight", "feed_forward.router.weight", {embedding, 4});
        family.add_feed_forward(16, "feed_forward.shared_expert.", "_shexp");
        const values both = family.in_layer("feed_forward.experts.gate_up_proj", {32, embedding, 4});
        const values down = family.in_layer("feed_forward.experts.down_proj", {embedding, 16, 4});
        const auto of_both = [&](std::size_t offset) {
            return filled(4, 16, embedding, [&](std::size_t expert, std::size_t row, std::size_t column) {
                return both[(expert * embedding + column) * 32 + offset + row];
            });
        };
        family.wanted[family.block + "ffn_gate_exps.weight"] = of_both(0);
        family.wanted[family.block + "ffn_up_exps.weight"] = of_both(16);
        family.wanted[family.block + "ffn_down_exps.weight"] =
            filled(4, embedding, 16, [&](std::size_t expert, std::size_t row, std::size_t column) {
                return down[(expert * 16 + column) * embedding + row];
            });
    }
    return family;
}

/// Without layers.
inline model_family gpt_oss_ends() {
    model_family family("GptOssForCausalLM", 4);
    auto& config = family.directory.config;
    config["intermediate_size"] = 16;
    config["head_dim"] = 16;
    config["num_local_experts"] = 4;
    config["num_experts_per_tok"] = 2;
    config["sliding_window"] = 3;
    config["rope_theta"] = 150000;
    config["rope_scaling"] = {
        {"rope_type", "yarn"}, {"factor", 32.0}, {"original_max_position_embeddings", 4096}, {"truncate", false}};
    family.add_ends();
    return family;
}

/// All of a layer but the experts' weights.
inline void add_gpt_oss_layer(model_family& family, std::uint64_t layer, std::size_t size) {
    family.begin_layer(layer);
    add_norms(family, "post_attention_norm.weight");
    family.add_attention(16, {"q", "k", "v"});
    family.same("attn_output.bias", "self_attn.o_proj.bias", {embedding});
    family.same("attn_sinks.weight", "self_attn.sinks", {heads});
    family.same("ffn_gate_inp.weight", "mlp.router.weight", {embedding, 4});
    family.same("ffn_gate_inp.bias", "mlp.router.bias", {4});
    family.same("ffn_down_exps.bias", "mlp.experts.down_proj_bias", {embedding, 4});
    const values both = family.in_layer("mlp.experts.gate_up_proj_bias", {2 * size, 4});
    for (const std::size_t odd : {0u, 1u})
        family.wanted[family.block + (odd ? "ffn_up_exps.bias" : "ffn_gate_exps.bias")] = filled(
            1, 4, size,
            [&](std::size_t, std::size_t expert, std::size_t i) { return both[expert * 2 * size + 2 * i + odd]; });
}

/// In full precision.
inline model_family gpt_oss() {
    model_family family = gpt_oss_ends();
    for (std::uint64_t layer = 0; layer < 4; ++layer) {
        add_gpt_oss_layer(family, layer, 16);
        const values both = family.in_layer("mlp.experts.gate_up_proj", {32, embedding, 4});
        const values down = family.in_layer("mlp.experts.down_proj", {embedding, 16, 4});
        for (const std::size_t odd : {0u, 1u})
            family.wanted[family.block + (odd ? "ffn_up_exps.weight" : "ffn_gate_exps.weight")] =
                filled(4, 16, embedding, [&](std::size_t expert, std::size_t row, std::size_t column) {
                    return both[(expert * embedding + column) * 32 + 2 * row + odd];
                });
        family.wanted[family.block + "ffn_down_exps.weight"] =
            filled(4, embedding, 16, [&](std::size_t expert, std::size_t row, std::size_t column) {
                return down[(expert * 16 + column) * embedding + row];
            });
    }
    return family;
}

/// Experts as a checkpoint has them: pairs of codes, and a scale for every 32.
struct mxfp4_tensor {
    std::string codes, scales;

    mxfp4_tensor(std::size_t weights, std::mt19937& random) {
        for (std::size_t i = 0; i < weights / 2; ++i) codes += static_cast<char>(random());
        for (std::size_t i = 0; i < weights / 32; ++i) scales += static_cast<char>(118 + random() % 6);
    }
    int code(std::size_t i) const {
        const auto byte = static_cast<unsigned char>(codes[i / 2]);
        return i % 2 == 0 ? byte & 15 : byte >> 4;
    }
    float weight(std::size_t i) const {
        constexpr std::array<float, 8> levels{0, 0.5f, 1, 1.5f, 2, 3, 4, 6};
        const float level = levels[static_cast<std::size_t>(code(i) % 8)];
        return std::ldexp(code(i) < 8 ? level : -level, static_cast<unsigned char>(scales[i / 32]) - 127);
    }
    values weights() const {
        return filled(1, 1, codes.size() * 2, [&](std::size_t, std::size_t, std::size_t i) { return weight(i); });
    }
};

/// One layer with four experts in MXFP4.
struct published_gpt_oss {
    static constexpr std::size_t size = 64;
    std::mt19937 random{7};
    mxfp4_tensor both{4 * 2 * size * embedding, random}, down{4 * embedding * size, random};
    model_family family = gpt_oss_ends();

    published_gpt_oss() {
        family.directory.config["num_hidden_layers"] = 1;
        family.directory.config["intermediate_size"] = size;
        family.directory.config["quantization_config"] = {{"quant_method", "mxfp4"},
                                                          {"modules_to_not_convert", {"lm_head"}}};
        add_gpt_oss_layer(family, 0, size);
        add("gate_up_proj", embedding, 2 * size, both);
        add("down_proj", size, embedding, down);
        for (const std::size_t odd : {0u, 1u})
            family.wanted[family.block + (odd ? "ffn_up_exps.weight" : "ffn_gate_exps.weight")] =
                filled(4, size, embedding, [&](std::size_t expert, std::size_t row, std::size_t column) {
                    return both.weight(row_of_both(expert, row, odd) * embedding + column);
                });
        family.wanted[family.block + "ffn_down_exps.weight"] = down.weights();
    }
    /// The place of an expert's gate (0) or up (1) row.
    static std::size_t row_of_both(std::size_t expert, std::size_t row, std::size_t odd) {
        return expert * 2 * size + 2 * row + odd;
    }
    /// The same with experts in full precision, (expert, row, column) as their blocks are.
    model_directory unpacked() const {
        model_directory directory = family.directory;
        directory.weights.add(family.prefix + "mlp.experts.gate_up_proj", {embedding, 2 * size, 4}, both.weights());
        directory.weights.add(family.prefix + "mlp.experts.down_proj", {size, embedding, 4}, down.weights());
        return directory;
    }

private:
    void add(const std::string& name, std::uint64_t columns, std::uint64_t rows, const mxfp4_tensor& from) {
        const std::string whole = family.prefix + "mlp.experts." + name;
        family.directory.byte_tensors.push_back({whole + "_blocks", {16, columns / 32, rows, 4}, from.codes});
        family.directory.byte_tensors.push_back({whole + "_scales", {columns / 32, rows, 4}, from.scales});
    }
};

constexpr std::size_t rank = 16, plain = 12, rotary = 8, value_size = 10;

/// Without layers.
inline model_family deepseek_ends(const char* name, std::uint64_t layers) {
    model_family family(name, layers);
    auto& config = family.directory.config;
    config["intermediate_size"] = 48;
    config["num_key_value_heads"] = 4;
    config["kv_lora_rank"] = rank;
    config["qk_nope_head_dim"] = plain;
    config["qk_rope_head_dim"] = rotary;
    config["v_head_dim"] = value_size;
    config["head_dim"] = rotary;  // as transformers writes it
    config["first_k_dense_replace"] = 1;
    config["moe_intermediate_size"] = 16;
    config["n_routed_experts"] = 8;
    config["n_shared_experts"] = 2;
    config["num_experts_per_tok"] = 3;
    config["routed_scaling_factor"] = 2.5;
    config["rope_scaling"] = {{"type", "yarn"},
                              {"factor", 40},
                              {"original_max_position_embeddings", 4096},
                              {"mscale", 1.0},
                              {"mscale_all_dim", 1.0}};
    family.add_ends();
    return family;
}

inline void add_deepseek_layer(model_family& family, std::uint64_t layer, bool is_lite) {
    family.begin_layer(layer);
    add_norms(family);
    if (is_lite) {
        family.same("attn_q.weight", "self_attn.q_proj.weight", {embedding, heads * (plain + rotary)});
    } else {
        family.same("attn_q_a.weight", "self_attn.q_a_proj.weight", {embedding, 20});
        family.same("attn_q_a_norm.weight", "self_attn.q_a_layernorm.weight", {20});
        family.same("attn_q_b.weight", "self_attn.q_b_proj.weight", {20, heads * (plain + rotary)});
    }
    family.same("attn_kv_a_mqa.weight", "self_attn.kv_a_proj_with_mqa.weight", {embedding, rank + rotary});
    family.same("attn_kv_a_norm.weight", "self_attn.kv_a_layernorm.weight", {rank});
    family.same("attn_output.weight", "self_attn.o_proj.weight", {heads * value_size, embedding});
    const values both = family.in_layer("self_attn.kv_b_proj.weight", {rank, heads * (plain + value_size)});
    family.wanted[family.block + "attn_k_b.weight"] =
        filled(heads, rank, plain, [&](std::size_t head, std::size_t row, std::size_t column) {
            return both[(head * (plain + value_size) + column) * rank + row];
        });
    family.wanted[family.block + "attn_v_b.weight"] =
        filled(heads, value_size, rank, [&](std::size_t head, std::size_t row, std::size_t column) {
            return both[(head * (plain + value_size) + plain + row) * rank + column];
        });
    if (layer == 0 || !family.directory.config.contains("n_routed_experts")) return family.add_feed_forward(48);
    family.add_experts(8, 16);
    family.add_feed_forward(32, "mlp.shared_experts.", "_shexp");
    if (!is_lite) family.same("exp_probs_b.bias", "mlp.gate.e_score_correction_bias", {8});
}

inline model_family deepseek3() {
    model_family family = deepseek_ends("DeepseekV3ForCausalLM", 3);
    auto& config = family.directory.config;
    config["q_lora_rank"] = 20;
    config["norm_topk_prob"] = true;
    config["scoring_func"] = "sigmoid";
    config["n_group"] = 4;
    config["topk_group"] = 2;
    config["num_nextn_predict_layers"] = 1;
    for (std::uint64_t layer = 0; layer < 3; ++layer) add_deepseek_layer(family, layer, false);
    // Of a layer for multi-token prediction, which is left out.
    family.directory.add("model.layers.3.eh_proj.weight", {2 * embedding, embedding});
    family.directory.add("model.layers.3.mlp.experts.0.up_proj.weight", {embedding, 16});
    return family;
}

/// Without experts.
inline model_family youtu() {
    model_family family = deepseek_ends("YoutuForCausalLM", 2);
    auto& config = family.directory.config;
    config["q_lora_rank"] = 20;
    for (const char* key : {"first_k_dense_replace", "moe_intermediate_size", "n_routed_experts", "n_shared_experts",
                            "num_experts_per_tok", "routed_scaling_factor"})
        config.erase(key);
    for (std::uint64_t layer = 0; layer < 2; ++layer) add_deepseek_layer(family, layer, false);
    return family;
}

/// GLM 4.7 Flash: with a layer for multi-token prediction.
inline model_family glm4moe_lite() {
    model_family family = deepseek_ends("Glm4MoeLiteForCausalLM", 3);
    auto& config = family.directory.config;
    config["q_lora_rank"] = 20;
    config["num_nextn_predict_layers"] = 1;
    config.erase("rope_scaling");
    for (std::uint64_t layer = 0; layer < 4; ++layer) add_deepseek_layer(family, layer, false);
    family.same("nextn.eh_proj.weight", "eh_proj.weight", {2 * embedding, embedding});
    family.same("nextn.enorm.weight", "enorm.weight", {embedding});
    family.same("nextn.hnorm.weight", "hnorm.weight", {embedding});
    family.same("nextn.shared_head_norm.weight", "shared_head.norm.weight", {embedding});
    return family;
}

/// Lite: queries of full rank.
inline model_family deepseek2(std::uint64_t layers) {
    model_family family = deepseek_ends("DeepseekV2ForCausalLM", layers);
    family.directory.config["q_lora_rank"] = nullptr;
    family.directory.config["norm_topk_prob"] = false;
    for (const char* key : {"mscale", "mscale_all_dim"}) family.directory.config["rope_scaling"][key] = 0.707;
    for (std::uint64_t layer = 0; layer < layers; ++layer) add_deepseek_layer(family, layer, true);
    return family;
}

}  // namespace support::families
