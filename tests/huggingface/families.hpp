// One small directory per Hugging Face architecture whose tensors become GGUF tensors nearly as they are.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "huggingface/family.hpp"

namespace support::families {

constexpr std::uint64_t embedding = model_family::embedding, heads = model_family::heads,
                        key_heads = model_family::key_heads;

/// How a checkpoint holds experts.
enum class experts_in { matrices, one_tensor };

/// Rows of `width` values, picked one by one.
inline values picked(const values& from, std::size_t width, const std::vector<std::size_t>& rows) {
    values to;
    for (const std::size_t row : rows)
        to.insert(to.end(), from.begin() + static_cast<std::ptrdiff_t>(row * width),
                  from.begin() + static_cast<std::ptrdiff_t>((row + 1) * width));
    return to;
}

inline void add_norms(model_family& family, const char* before_network = "ffn_norm.weight") {
    family.norm("attn_norm.weight", "input_layernorm.weight", embedding);
    family.norm(before_network, "post_attention_layernorm.weight", embedding);
}

inline void add_shared_expert(model_family& family, std::uint64_t size) {
    family.same("ffn_gate_inp_shexp.weight", "mlp.shared_expert_gate.weight", {embedding, 1});
    family.add_feed_forward(size, "mlp.shared_expert.", "_shexp");
}

inline model_family qwen2_yarn() {
    model_family family("Qwen2ForCausalLM", 2);
    family.directory.config["intermediate_size"] = 48;
    family.directory.config["rope_theta"] = 10000.0;
    family.directory.config["rope_scaling"] = {
        {"type", "yarn"}, {"factor", 4.0}, {"original_max_position_embeddings", 16}};
    family.directory.config["sliding_window"] = 32;
    family.add_ends();
    for (std::uint64_t layer = 0; layer < 2; ++layer) {
        family.begin_layer(layer);
        add_norms(family);
        family.add_attention(8, {"q", "k", "v"});
        family.add_feed_forward(48);
    }
    return family;
}

inline model_family qwen3() {
    model_family family("Qwen3ForCausalLM", 2);
    family.directory.config["intermediate_size"] = 48;
    family.directory.config["head_dim"] = 16;
    family.directory.config["rope_theta"] = 1000000;
    family.add_ends();
    for (std::uint64_t layer = 0; layer < 2; ++layer) {
        family.begin_layer(layer);
        add_norms(family);
        family.add_attention(16);
        family.add_head_norms(16);
        family.add_feed_forward(48);
    }
    return family;
}

inline model_family qwen2moe() {
    model_family family("Qwen2MoeForCausalLM", 2);
    family.directory.config["intermediate_size"] = 48;
    family.directory.config["moe_intermediate_size"] = 16;
    family.directory.config["shared_expert_intermediate_size"] = 20;
    family.directory.config["num_experts"] = 6;
    family.directory.config["num_experts_per_tok"] = 2;
    family.directory.config["norm_topk_prob"] = false;
    family.add_ends();
    for (std::uint64_t layer = 0; layer < 2; ++layer) {
        family.begin_layer(layer);
        add_norms(family);
        family.add_attention(8, {"q", "k", "v"});
        family.add_experts(6, 16);
        add_shared_expert(family, 20);
    }
    return family;
}

inline model_family qwen3moe(experts_in form) {
    model_family family("Qwen3MoeForCausalLM", 2);
    family.directory.config["intermediate_size"] = 48;
    family.directory.config["head_dim"] = 16;
    family.directory.config["moe_intermediate_size"] = 16;
    family.directory.config["num_experts"] = 6;
    family.directory.config["num_experts_per_tok"] = 3;
    family.directory.config["norm_topk_prob"] = true;
    family.add_ends();
    for (std::uint64_t layer = 0; layer < 2; ++layer) {
        family.begin_layer(layer);
        add_norms(family);
        family.add_attention(16);
        family.add_head_norms(16);
        if (form == experts_in::matrices) {
            family.add_experts(6, 16);
            continue;
        }
        family.same("ffn_gate_inp.weight", "mlp.gate.weight", {embedding, 6});
        family.same("ffn_down_exps.weight", "mlp.experts.down_proj", {16, embedding, 6});
        const values both = family.in_layer("mlp.experts.gate_up_proj", {embedding, 32, 6});
        std::vector<std::size_t> gates, ups;
        for (std::size_t expert = 0; expert < 6; ++expert)
            for (std::size_t row = 0; row < 16; ++row) {
                gates.push_back(expert * 32 + row);
                ups.push_back(expert * 32 + 16 + row);
            }
        family.wanted[family.block + "ffn_gate_exps.weight"] = picked(both, embedding, gates);
        family.wanted[family.block + "ffn_up_exps.weight"] = picked(both, embedding, ups);
    }
    return family;
}

/// Gemma ties its embeddings unless told otherwise, and stores norms less 1.
inline model_family gemma(const char* architecture, std::uint64_t layers, std::uint64_t feed_forward) {
    model_family family(architecture, layers);
    family.directory.norm_shift = 1.0f;
    family.directory.config.erase("tie_word_embeddings");
    family.directory.config["intermediate_size"] = feed_forward;
    family.directory.config["head_dim"] = 16;
    family.add_ends();
    for (std::uint64_t layer = 0; layer < layers; ++layer) {
        family.begin_layer(layer);
        family.norm("attn_norm.weight", "input_layernorm.weight", embedding);
        family.norm("post_attention_norm.weight", "post_attention_layernorm.weight", embedding);
        family.norm("ffn_norm.weight", "pre_feedforward_layernorm.weight", embedding);
        family.norm("post_ffw_norm.weight", "post_feedforward_layernorm.weight", embedding);
        family.add_attention(16);
        family.add_feed_forward(feed_forward);
    }
    return family;
}

inline model_family gemma2() {
    model_family family = gemma("Gemma2ForCausalLM", 4, 48);
    family.directory.config["rope_theta"] = 10000.0;
    family.directory.config["attn_logit_softcapping"] = 5.0;
    family.directory.config["final_logit_softcapping"] = 10.0;
    family.directory.config["sliding_window"] = 3;
    family.directory.config["query_pre_attn_scalar"] = 16;
    return family;
}

inline model_family gemma3(std::uint64_t layers = 7) {
    model_family family = gemma("Gemma3ForCausalLM", layers, 40);
    family.directory.config["rope_theta"] = 1000000.0;
    family.directory.config["rope_scaling"] = {{"rope_type", "linear"}, {"factor", 8.0}};
    family.directory.config["sliding_window"] = 3;
    family.directory.config["query_pre_attn_scalar"] = 16;
    for (std::uint64_t layer = 0; layer < layers; ++layer) {
        family.begin_layer(layer);
        family.add_head_norms(16);
    }
    return family;
}

/// The same as the text part of a multimodal model; names of its tensors begin with `before`. What the text part's
/// configuration leaves out has its defaults, or is outside.
inline model_family multimodal(const model_family& gemma3, const std::string& before) {
    model_family family("Gemma3ForConditionalGeneration", 0);
    nlohmann::json text = gemma3.directory.config;
    for (const char* key : {"architectures", "rms_norm_eps", "rope_theta"}) text.erase(key);
    text["bos_token_id"] = 5;
    family.directory.config = {{"architectures", family.directory.config["architectures"]},
                               {"model_type", "gemma3"},
                               {"text_config", text},
                               {"vision_config", {{"hidden_size", 7}}}};
    family.directory.add("vision_tower.vision_model.embeddings.patch_embedding.bias", {7});
    family.directory.add("model.multi_modal_projector.mm_input_projection_weight", {7, 3});
    for (const auto& info : gemma3.directory.weights.tensors())
        family.directory.weights.add(
            info.name.starts_with("model.") ? before + info.name.substr(6) : "language_model." + info.name,
            std::span(info.dims).first(info.rank), gemma3.directory.values(info.name));
    family.wanted = gemma3.wanted;
    return family;
}

inline model_family phi3() {
    model_family family("Phi3ForCausalLM", 2);
    family.directory.config["intermediate_size"] = 40;
    family.directory.config["max_position_embeddings"] = 2048;
    family.directory.config["original_max_position_embeddings"] = 256;
    family.directory.config["partial_rotary_factor"] = 0.75;
    family.directory.config["sliding_window"] = 2;
    family.directory.config["rope_scaling"] = {
        {"type", "longrope"}, {"long_factor", {1.5, 2.5, 3.5}}, {"short_factor", {1, 1.25, 2}}};
    family.add_ends();
    family.wanted["rope_factors_long.weight"] = {1.5f, 2.5f, 3.5f};
    family.wanted["rope_factors_short.weight"] = {1.0f, 1.25f, 2.0f};
    for (std::uint64_t layer = 0; layer < 2; ++layer) {
        family.begin_layer(layer);
        add_norms(family);
        family.same("attn_qkv.weight", "self_attn.qkv_proj.weight", {embedding, (heads + 2 * key_heads) * 8});
        family.same("attn_output.weight", "self_attn.o_proj.weight", {heads * 8, embedding});
        family.same("ffn_up.weight", "mlp.gate_up_proj.weight", {embedding, 80});
        family.same("ffn_down.weight", "mlp.down_proj.weight", {40, embedding});
    }
    return family;
}

/// A dense layer, two with experts, and `mtp_layers` for multi-token prediction.
inline model_family glm4moe(std::uint64_t mtp_layers) {
    model_family family("Glm4MoeForCausalLM", 3);
    auto& config = family.directory.config;
    config["intermediate_size"] = 48;
    config["head_dim"] = 16;
    config["partial_rotary_factor"] = 0.5;
    config["moe_intermediate_size"] = 16;
    config["n_routed_experts"] = 6;
    config["n_shared_experts"] = 1;
    config["num_experts_per_tok"] = 2;
    config["first_k_dense_replace"] = 1;
    config["routed_scaling_factor"] = 1.5;
    config["norm_topk_prob"] = true;
    config["num_nextn_predict_layers"] = 1;
    config["attention_bias"] = true;
    config["use_qk_norm"] = true;
    family.add_ends();
    for (std::uint64_t layer = 0; layer < 3 + mtp_layers; ++layer) {
        family.begin_layer(layer);
        add_norms(family, "post_attention_norm.weight");
        family.add_attention(16, {"q", "k", "v"});
        family.add_head_norms(16);
        if (layer == 0) {
            family.add_feed_forward(48);
            continue;
        }
        family.add_experts(6, 16);
        family.same("exp_probs_b.bias", "mlp.gate.e_score_correction_bias", {6});
        family.add_feed_forward(16, "mlp.shared_experts.", "_shexp");
        if (layer < 3) continue;
        family.same("nextn.eh_proj.weight", "eh_proj.weight", {2 * embedding, embedding});
        family.same("nextn.enorm.weight", "enorm.weight", {embedding});
        family.same("nextn.hnorm.weight", "hnorm.weight", {embedding});
        family.same("nextn.shared_head_norm.weight", "shared_head.norm.weight", {embedding});
    }
    return family;
}

}  // namespace support::families
