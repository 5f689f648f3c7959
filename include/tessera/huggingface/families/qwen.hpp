// Qwen2 and Qwen3, dense and with experts.
#pragma once

#include <array>

#include "tessera/huggingface/families/common.hpp"

namespace tessera::huggingface {

/// An expert that always takes part, and the weight it gets.
inline constexpr std::array gated_shared_expert = std::to_array<tensor_rule>({
    {"ffn_gate_inp_shexp.weight", "mlp.shared_expert_gate.weight", embedding, one},
    {"ffn_gate_shexp.weight", "mlp.shared_expert.gate_proj.weight", embedding, shared_feed_forward},
    {"ffn_down_shexp.weight", "mlp.shared_expert.down_proj.weight", shared_feed_forward, embedding},
    {"ffn_up_shexp.weight", "mlp.shared_expert.up_proj.weight", embedding, shared_feed_forward},
});

inline constexpr std::array gated_shared_expert_metadata = std::to_array<metadata_rule>({
    size("expert_count", "num_experts", &model_dimensions::experts),
    {"expert_used_count", "num_experts_per_tok"},
    size("expert_feed_forward_length", "moe_intermediate_size", &model_dimensions::expert_feed_forward),
    {"expert_shared_feed_forward_length", "shared_expert_intermediate_size"},
});

// Qwen 2 has these biases whatever a field says.
inline constexpr std::array qwen2_fields =
    std::to_array<config_field>({{"attention_bias", "[true, false]"}, {"qkv_bias", "[true]"}});
inline constexpr std::array qwen2moe_fields = std::to_array<config_field>(
    {{"attention_bias", "[true, false]"}, {"qkv_bias", "[true]"}, {"norm_topk_prob", "[false]"}});
inline constexpr std::array qwen3_fields = std::to_array<config_field>({{"use_qk_norm", "[true]"}});
inline constexpr std::array qwen3moe_fields =
    std::to_array<config_field>({{"use_qk_norm", "[true]"}, {"norm_topk_prob", "[true]"}});

inline constexpr architecture_row qwen2{
    .name = "Qwen2ForCausalLM",
    .gguf_name = "qwen2",
    .last = last_tensors,
    .layer = {{{attention_norm}, {biased_attention}, {feed_forward_norm}, {gated_feed_forward}}},
    .metadata = {common_metadata, head_metadata},
    .assumes = qwen2_fields,
    .window = window_use::on_demand,
};

/// A Qwen 2 whose norms have names of their own.
inline constexpr std::array kormo_attention_norm = std::to_array<tensor_rule>({
    {"attn_norm.weight", "pre_attention_layernorm.weight", embedding, one},
});
inline constexpr std::array kormo_feed_forward_norm = std::to_array<tensor_rule>({
    {"ffn_norm.weight", "pre_mlp_layernorm.weight", embedding, one},
});
inline constexpr architecture_row kormo{
    .name = "KORMoForCausalLM",
    .gguf_name = "qwen2",
    .last = last_tensors,
    .layer = {{{kormo_attention_norm}, {perhaps_biased_attention}, {kormo_feed_forward_norm}, {gated_feed_forward}}},
    .metadata = {common_metadata, head_metadata},
    .window = window_use::on_demand,
};

inline constexpr architecture_row qwen2moe{
    .name = "Qwen2MoeForCausalLM",
    .gguf_name = "qwen2moe",
    .last = last_tensors,
    .layer = {{{attention_norm}, {biased_attention}, {feed_forward_norm}, {routed_experts}, {gated_shared_expert}}},
    .metadata = {common_metadata, head_metadata, gated_shared_expert_metadata},
    .assumes = qwen2moe_fields,
    .window = window_use::on_demand,
};

inline constexpr architecture_row qwen3{
    .name = "Qwen3ForCausalLM",
    .gguf_name = "qwen3",
    .last = last_tensors,
    .layer = {{{attention_norm}, {attention}, {attention_head_norms}, {feed_forward_norm}, {gated_feed_forward}}},
    .metadata = {common_metadata, head_metadata},
    .defaults = R"({"head_dim": 128})",
    .assumes = qwen3_fields,
    .window = window_use::on_demand,
};
inline constexpr architecture_row step_multimodal = renamed(qwen3, "StepVLForConditionalGeneration");

inline constexpr architecture_row qwen3moe{
    .name = "Qwen3MoeForCausalLM",
    .gguf_name = "qwen3moe",
    .last = last_tensors,
    .layer = {{{attention_norm}, {attention}, {attention_head_norms}, {feed_forward_norm}, {routed_experts}}},
    .metadata = {common_metadata, head_metadata, expert_metadata},
    .defaults = R"({"norm_topk_prob": false})",
    .assumes = qwen3moe_fields,
    .window = window_use::on_demand,
};

}  // namespace tessera::huggingface
