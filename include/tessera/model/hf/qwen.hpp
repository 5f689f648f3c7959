// Qwen2 and Qwen3, dense and with experts.
#pragma once

#include <array>

#include "tessera/model/hf/common.hpp"

namespace tessera::model::hf {

/// An expert that always takes part, and the weight it gets.
inline constexpr std::array gated_shared_expert = std::to_array<hf_tensor_rule>({
    {"ffn_gate_inp_shexp.weight", "mlp.shared_expert_gate.weight", embedding, one},
    {"ffn_gate_shexp.weight", "mlp.shared_expert.gate_proj.weight", embedding, shared_feed_forward},
    {"ffn_down_shexp.weight", "mlp.shared_expert.down_proj.weight", shared_feed_forward, embedding},
    {"ffn_up_shexp.weight", "mlp.shared_expert.up_proj.weight", embedding, shared_feed_forward},
});

inline constexpr std::array gated_shared_expert_metadata = std::to_array<hf_metadata_rule>({
    size("expert_count", "num_experts", &hf_dimensions::experts),
    {"expert_used_count", "num_experts_per_tok"},
    size("expert_feed_forward_length", "moe_intermediate_size", &hf_dimensions::expert_feed_forward),
    {"expert_shared_feed_forward_length", "shared_expert_intermediate_size"},
});

inline constexpr hf_architecture qwen2{
    .hf_name = "Qwen2ForCausalLM",
    .gguf_name = "qwen2",
    .last = last_tensors,
    .layer = {{{attention_norm}, {attention}, {feed_forward_norm}, {gated_feed_forward}}},
    .metadata = {common_metadata, head_metadata},
};

inline constexpr hf_architecture qwen2moe{
    .hf_name = "Qwen2MoeForCausalLM",
    .gguf_name = "qwen2moe",
    .last = last_tensors,
    .layer = {{{attention_norm}, {attention}, {feed_forward_norm}, {routed_experts}, {gated_shared_expert}}},
    .metadata = {common_metadata, head_metadata, gated_shared_expert_metadata},
};

inline constexpr hf_architecture qwen3{
    .hf_name = "Qwen3ForCausalLM",
    .gguf_name = "qwen3",
    .last = last_tensors,
    .layer = {{{attention_norm}, {attention}, {attention_head_norms}, {feed_forward_norm}, {gated_feed_forward}}},
    .metadata = {common_metadata, head_metadata},
    .defaults = R"({"head_dim": 128})",
};

inline constexpr hf_architecture qwen3moe{
    .hf_name = "Qwen3MoeForCausalLM",
    .gguf_name = "qwen3moe",
    .last = last_tensors,
    .layer = {{{attention_norm}, {attention}, {attention_head_norms}, {feed_forward_norm}, {routed_experts}}},
    .metadata = {common_metadata, head_metadata, expert_metadata},
};

}  // namespace tessera::model::hf
