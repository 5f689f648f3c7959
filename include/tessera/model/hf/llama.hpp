// Llama and Mixtral, Llama 4.
#pragma once

#include <array>

#include "tessera/model/hf/common.hpp"

namespace tessera::model::hf {

inline hf_row_maps queries(const hf_dimensions& d) { return {interleaved_halves(d.heads, d.head_size)}; }
inline hf_row_maps keys(const hf_dimensions& d) { return {interleaved_halves(d.key_heads, d.head_size)}; }

// Llama's rotary embedding turns neighbours in GGUF, hence the row maps.
inline constexpr std::array llama_attention = std::to_array<hf_tensor_rule>({
    {"attn_norm.weight", "input_layernorm.weight", embedding, one},
    {"attn_q.weight", "self_attn.q_proj.weight", embedding, query_rows, required, {.rows = queries}},
    {"attn_q.bias", "self_attn.q_proj.bias", query_rows, one, optional, {.rows = queries}},
    {"attn_k.weight", "self_attn.k_proj.weight", embedding, key_rows, required, {.rows = keys}},
    {"attn_k.bias", "self_attn.k_proj.bias", key_rows, one, optional, {.rows = keys}},
    {"attn_v.weight", "self_attn.v_proj.weight", embedding, key_rows},
    {"attn_v.bias", "self_attn.v_proj.bias", key_rows, one, optional},
    {"attn_output.weight", "self_attn.o_proj.weight", query_rows, embedding},
    {"attn_output.bias", "self_attn.o_proj.bias", embedding, one, optional},
    {"ffn_norm.weight", "post_attention_layernorm.weight", embedding, one},
});

inline constexpr std::array llama_feed_forward = std::to_array<hf_tensor_rule>({
    {"ffn_gate.weight", "mlp.gate_proj.weight", embedding, feed_forward},
    {"ffn_gate.bias", "mlp.gate_proj.bias", feed_forward, one, optional},
    {"ffn_down.weight", "mlp.down_proj.weight", feed_forward, embedding},
    {"ffn_down.bias", "mlp.down_proj.bias", embedding, one, optional},
    {"ffn_up.weight", "mlp.up_proj.weight", embedding, feed_forward},
    {"ffn_up.bias", "mlp.up_proj.bias", feed_forward, one, optional},
});

inline constexpr std::array mixtral_experts = std::to_array<hf_tensor_rule>({
    {"ffn_gate_inp.weight", "block_sparse_moe.gate.weight", embedding, experts},
    {"ffn_gate_exps.weight", "block_sparse_moe.experts.{expert}.w1.weight", embedding, feed_forward},
    {"ffn_down_exps.weight", "block_sparse_moe.experts.{expert}.w2.weight", feed_forward, embedding},
    {"ffn_up_exps.weight", "block_sparse_moe.experts.{expert}.w3.weight", embedding, feed_forward},
});

inline constexpr std::array mixtral_metadata = std::to_array<hf_metadata_rule>({
    {"expert_count", "num_local_experts"},
    {"expert_used_count", "num_experts_per_tok"},
});

inline constexpr hf_architecture llama{
    .hf_name = "LlamaForCausalLM",
    .gguf_name = "llama",
    .last = last_tensors,
    .layer = {{{llama_attention}, {llama_feed_forward}}},
    .metadata = {common_metadata, head_metadata, rotary_metadata},
    .rope = hf_rope_style::with_factors,
};

/// Mistral's sliding window is not written: GGUF's llama has none.
inline constexpr hf_architecture mistral = [] {
    hf_architecture row = llama;
    row.hf_name = "MistralForCausalLM";
    return row;
}();

inline constexpr hf_architecture mixtral{
    .hf_name = "MixtralForCausalLM",
    .gguf_name = "llama",
    .last = last_tensors,
    .layer = {{{llama_attention}, {mixtral_experts}}},
    .metadata = {common_metadata, head_metadata, rotary_metadata, mixtral_metadata},
    .rope = hf_rope_style::with_factors,
};

// Llama 4: rows are stored as GGUF wants them. Experts are matrices to be multiplied from the right: (input, output).

inline hf_row_maps gate_columns(const hf_dimensions& d) { return {hf_row_map(d.expert_feed_forward)}; }
inline hf_row_maps up_columns(const hf_dimensions& d) {
    return {hf_row_map(d.expert_feed_forward, d.expert_feed_forward)};
}

inline constexpr std::array llama4_feed_forward = std::to_array<hf_tensor_rule>({
    {"ffn_gate.weight", "feed_forward.gate_proj.weight", embedding, feed_forward},
    {"ffn_down.weight", "feed_forward.down_proj.weight", feed_forward, embedding},
    {"ffn_up.weight", "feed_forward.up_proj.weight", embedding, feed_forward},
});

inline constexpr std::array llama4_experts = std::to_array<hf_tensor_rule>({
    {"ffn_gate_inp.weight", "feed_forward.router.weight", embedding, experts},
    {"ffn_gate_exps.weight",
     "feed_forward.experts.gate_up_proj",
     embedding,
     expert_feed_forward,
     required,
     {.rows = gate_columns,
      .matrices = experts,
      .source = {fused_expert_feed_forward, embedding, experts},
      .transposed = embedding}},
    {"ffn_down_exps.weight",
     "feed_forward.experts.down_proj",
     expert_feed_forward,
     embedding,
     required,
     {.matrices = experts, .source = {embedding, expert_feed_forward, experts}, .transposed = expert_feed_forward}},
    {"ffn_up_exps.weight",
     "feed_forward.experts.gate_up_proj",
     embedding,
     expert_feed_forward,
     required,
     {.rows = up_columns,
      .matrices = experts,
      .source = {fused_expert_feed_forward, embedding, experts},
      .transposed = embedding}},
    {"ffn_gate_shexp.weight", "feed_forward.shared_expert.gate_proj.weight", embedding, shared_feed_forward},
    {"ffn_down_shexp.weight", "feed_forward.shared_expert.down_proj.weight", shared_feed_forward, embedding},
    {"ffn_up_shexp.weight", "feed_forward.shared_expert.up_proj.weight", embedding, shared_feed_forward},
});

inline constexpr std::array llama4_metadata = std::to_array<hf_metadata_rule>({
    size("expert_count", "num_local_experts", &hf_dimensions::experts),
    {"expert_used_count", "num_experts_per_tok"},
    size("expert_feed_forward_length", "intermediate_size", &hf_dimensions::expert_feed_forward),
    {"interleave_moe_layer_step", "interleave_moe_layer_step"},
});

inline constexpr hf_architecture llama4{
    .hf_name = "Llama4ForCausalLM",
    .gguf_name = "llama4",
    .last = last_tensors,
    .layer = {{{attention_norm},
               {attention},
               {feed_forward_norm},
               {llama4_feed_forward, in_dense_layers},
               {llama4_experts, in_sparse_layers}}},
    .metadata = {common_metadata, head_metadata, rotary_metadata, llama4_metadata},
    .rope = hf_rope_style::with_factors,
    .defaults = R"({"num_experts_per_tok": 1, "interleave_moe_layer_step": 1})",
    .left_out = pictures,
};

inline constexpr hf_architecture llama4_with_pictures = [] {
    hf_architecture row = llama4;
    row.hf_name = "Llama4ForConditionalGeneration";
    return row;
}();

}  // namespace tessera::model::hf
