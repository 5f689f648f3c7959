// GLM 4.5, 4.6 and 4.7, and what is built like them.
#pragma once

#include <array>

#include "tessera/huggingface/families/common.hpp"

namespace tessera::huggingface {

inline constexpr named_dimension doubled_embedding{"2 * hidden_size", &model_dimensions::doubled_embedding};

inline constexpr std::array glm_head_norms = std::to_array<tensor_rule>({
    {"attn_q_norm.weight", "self_attn.q_norm.weight", head_size, one, optional, {}, "use_qk_norm"},
    {"attn_k_norm.weight", "self_attn.k_norm.weight", head_size, one, optional, {}, "use_qk_norm"},
});

inline constexpr std::array expert_bias = std::to_array<tensor_rule>({
    {"exp_probs_b.bias", "mlp.gate.e_score_correction_bias", experts, one},
});

/// What turns a hidden state and the embedding of the next token into the input of a layer for
/// multi-token prediction.
inline constexpr std::array glm_mtp = std::to_array<tensor_rule>({
    {"nextn.eh_proj.weight", "eh_proj.weight", doubled_embedding, embedding},
    {"nextn.enorm.weight", "enorm.weight", embedding, one},
    {"nextn.hnorm.weight", "hnorm.weight", embedding, one},
    {"nextn.embed_tokens.weight", "embed_tokens.weight", embedding, vocabulary, optional},
    {"nextn.shared_head_head.weight", "shared_head.head.weight", embedding, vocabulary, optional},
    {"nextn.shared_head_norm.weight", "shared_head.norm.weight", embedding, one, optional},
});

inline constexpr std::array glm_metadata = std::to_array<metadata_rule>({
    size("rope.dimension_count", "partial_rotary_factor", &model_dimensions::rotary),
    optional_size("nextn_predict_layers", &model_dimensions::mtp_layers),
});

/// What begins a prompt, what ends an answer, and what ends a call of a tool. Source: llama.cpp's converter.
inline constexpr std::array glm_special_tokens = std::to_array<special_token>({
    {"bos", "[gMASK]"},
    {"eot", "<|user|>"},
    {"unknown", "<|endoftext|>"},
    {"eom", "<|observation|>"},
});

inline constexpr std::array glm_fields = std::to_array<config_field>({{"topk_method", R"(["noaux_tc"])"}});

inline constexpr architecture_row glm4moe{
    .name = "Glm4MoeForCausalLM",
    .gguf_name = "glm4moe",
    .last = last_tensors,
    .layer = {{{attention_norm},
               {perhaps_biased_attention},
               {glm_head_norms},
               {post_attention_norm},
               {gated_feed_forward, in_dense_layers},
               {routed_experts, in_sparse_layers},
               {expert_bias, in_sparse_layers},
               {shared_experts, in_sparse_layers},
               {glm_mtp, is_mtp_layer}}},
    .metadata = {common_metadata, head_metadata, routing_metadata, glm_metadata},
    .defaults = R"({"partial_rotary_factor": 0.5, "scoring_func": "sigmoid", "norm_topk_prob": true,
                    "first_k_dense_replace": 1, "n_shared_experts": 1})",
    .assumes = glm_fields,
    .mtp = {mtp_rule::fate::kept, "model.layers.{layer}."},
    .special_tokens = glm_special_tokens,
};
inline constexpr architecture_row glm4moe_multimodal = renamed(glm4moe, "Glm4vMoeForConditionalGeneration");

inline constexpr architecture_row solar_open = [] {
    architecture_row row = renamed(glm4moe, "SolarOpenForCausalLM");
    row.defaults = R"({"partial_rotary_factor": 1.0, "scoring_func": "sigmoid", "norm_topk_prob": true,
                       "first_k_dense_replace": 0, "n_shared_experts": 1, "rope_theta": 1000000.0})";
    row.special_tokens = {};
    return row;
}();

}  // namespace tessera::huggingface
