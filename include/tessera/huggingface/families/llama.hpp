// Llama and Mixtral, Llama 4.
#pragma once

#include <array>

#include "tessera/huggingface/families/common.hpp"

namespace tessera::huggingface {

inline row_maps queries(const model_dimensions& d) { return {interleaved_halves(d.heads, d.head_size)}; }
inline row_maps keys(const model_dimensions& d) { return {interleaved_halves(d.key_heads, d.head_size)}; }

// Llama's rotary embedding turns neighbours in GGUF, hence the row maps.
inline constexpr std::array llama_attention = std::to_array<tensor_rule>({
    {"attn_norm.weight", "input_layernorm.weight", embedding, one},
    {"attn_q.weight", "self_attn.q_proj.weight", embedding, query_rows, required, {.rows = queries}},
    {"attn_q.bias", "self_attn.q_proj.bias", query_rows, one, optional, {.rows = queries}, "attention_bias"},
    {"attn_k.weight", "self_attn.k_proj.weight", embedding, key_rows, required, {.rows = keys}},
    {"attn_k.bias", "self_attn.k_proj.bias", key_rows, one, optional, {.rows = keys}, "attention_bias"},
    {"attn_v.weight", "self_attn.v_proj.weight", embedding, key_rows},
    {"attn_v.bias", "self_attn.v_proj.bias", key_rows, one, optional, {}, "attention_bias"},
    {"attn_output.weight", "self_attn.o_proj.weight", query_rows, embedding},
    {"attn_output.bias", "self_attn.o_proj.bias", embedding, one, optional, {}, "attention_bias"},
    {"ffn_norm.weight", "post_attention_layernorm.weight", embedding, one},
});

inline constexpr std::array llama_feed_forward = std::to_array<tensor_rule>({
    {"ffn_gate.weight", "mlp.gate_proj.weight", embedding, feed_forward},
    {"ffn_gate.bias", "mlp.gate_proj.bias", feed_forward, one, optional, {}, "mlp_bias"},
    {"ffn_down.weight", "mlp.down_proj.weight", feed_forward, embedding},
    {"ffn_down.bias", "mlp.down_proj.bias", embedding, one, optional, {}, "mlp_bias"},
    {"ffn_up.weight", "mlp.up_proj.weight", embedding, feed_forward},
    {"ffn_up.bias", "mlp.up_proj.bias", feed_forward, one, optional, {}, "mlp_bias"},
});

inline constexpr std::array mixtral_experts = std::to_array<tensor_rule>({
    {"ffn_gate_inp.weight", "block_sparse_moe.gate.weight", embedding, experts},
    {"ffn_gate_exps.weight", "block_sparse_moe.experts.{expert}.w1.weight", embedding, feed_forward},
    {"ffn_down_exps.weight", "block_sparse_moe.experts.{expert}.w2.weight", feed_forward, embedding},
    {"ffn_up_exps.weight", "block_sparse_moe.experts.{expert}.w3.weight", embedding, feed_forward},
});

inline constexpr std::array mixtral_metadata = std::to_array<metadata_rule>({
    {"expert_count", "num_local_experts"},
    {"expert_used_count", "num_experts_per_tok"},
});

// Loaders turn whole heads.
inline constexpr std::array whole_heads = std::to_array<config_field>({{"partial_rotary_factor", "[1]"}});

inline constexpr architecture_row llama{
    .name = "LlamaForCausalLM",
    .gguf_name = "llama",
    .last = last_tensors,
    .layer = {{{llama_attention}, {llama_feed_forward}}},
    .metadata = {common_metadata, head_metadata, rotary_metadata},
    .rope = rope_style::with_factors,
    .assumes = whole_heads,
};
inline constexpr architecture_row first_llama = renamed(llama, "LLaMAForCausalLM");
inline constexpr architecture_row internlm3 = renamed(llama, "InternLM3ForCausalLM");
inline constexpr architecture_row iquest_coder = renamed(llama, "IQuestCoderForCausalLM");

/// Mistral's sliding window is not written: GGUF's llama has none.
inline constexpr architecture_row mistral = [] {
    architecture_row row = renamed(llama, "MistralForCausalLM");
    row.window = window_use::always;
    return row;
}();

// Models of text and something else, whose text part is a Llama or Mistral unless it names another architecture.
inline constexpr std::array whole_heads_of_llama = std::to_array<config_field>(
    {{"partial_rotary_factor", "[1]"}, {"model_type", R"(["llama", "mistral", "llava", "voxtral"])"}});

inline constexpr architecture_row llava = [] {
    architecture_row row = renamed(mistral, "LlavaForConditionalGeneration");
    row.defaults = R"({"hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32,
                       "num_attention_heads": 32, "vocab_size": 32000, "max_position_embeddings": 2048,
                       "rms_norm_eps": 1e-6})";
    row.assumes = whole_heads_of_llama;
    return row;
}();
inline constexpr architecture_row voxtral = [] {
    architecture_row row = renamed(mistral, "VoxtralForConditionalGeneration");
    row.assumes = whole_heads_of_llama;
    return row;
}();

inline constexpr std::array mixtral_fields =
    std::to_array<config_field>({{"partial_rotary_factor", "[1]"}, {"norm_topk_prob", "[true]"}});

inline constexpr architecture_row mixtral{
    .name = "MixtralForCausalLM",
    .gguf_name = "llama",
    .last = last_tensors,
    .layer = {{{llama_attention}, {mixtral_experts}}},
    .metadata = {common_metadata, head_metadata, rotary_metadata, mixtral_metadata},
    .rope = rope_style::with_factors,
    .defaults = R"({"rope_theta": 1e6})",
    .assumes = mixtral_fields,
    .window = window_use::always,
};

// Llama 4: rows are stored as GGUF wants them. Experts are matrices to be multiplied from the right: (input, output).

inline row_maps gate_columns(const model_dimensions& d) { return {row_map(d.expert_feed_forward)}; }
inline row_maps up_columns(const model_dimensions& d) {
    return {row_map(d.expert_feed_forward, d.expert_feed_forward)};
}

inline constexpr std::array llama4_feed_forward = std::to_array<tensor_rule>({
    {"ffn_gate.weight", "feed_forward.gate_proj.weight", embedding, feed_forward},
    {"ffn_down.weight", "feed_forward.down_proj.weight", feed_forward, embedding},
    {"ffn_up.weight", "feed_forward.up_proj.weight", embedding, feed_forward},
});

inline constexpr std::array llama4_experts = std::to_array<tensor_rule>({
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

inline constexpr std::array llama4_metadata = std::to_array<metadata_rule>({
    size("expert_count", "num_local_experts", &model_dimensions::experts),
    {"expert_used_count", "num_experts_per_tok"},
    size("expert_feed_forward_length", "intermediate_size", &model_dimensions::expert_feed_forward),
    {"interleave_moe_layer_step", "interleave_moe_layer_step"},
});

// What loaders know: chunks of 8192 positions, attention temperature by chunks, every fourth layer without rotation.
inline constexpr std::array llama4_fields = std::to_array<config_field>({
    {"partial_rotary_factor", "[1]"},
    {"attention_chunk_size", "[8192]"},
    {"attn_temperature_tuning", "[true, 1, 4]"},
    {"floor_scale", "[8192]"},
    {"attn_scale", "[0.1]"},
    {"no_rope_layer_interval", "[4]"},
});
inline constexpr std::array llama4_sizes =
    std::to_array<std::string_view>({"intermediate_size_mlp", "no_rope_layers", "moe_layers", "use_qk_norm"});

inline constexpr architecture_row llama4{
    .name = "Llama4ForCausalLM",
    .gguf_name = "llama4",
    .last = last_tensors,
    .layer = {{{attention_norm},
               {attention},
               {feed_forward_norm},
               {llama4_feed_forward, in_dense_layers},
               {llama4_experts, in_sparse_layers}}},
    .metadata = {common_metadata, head_metadata, rotary_metadata, llama4_metadata},
    .rope = rope_style::with_factors,
    .defaults = R"({"num_experts_per_tok": 1, "interleave_moe_layer_step": 1, "use_qk_norm": true})",
    .assumes = llama4_fields,
    .reads = llama4_sizes,
};

inline constexpr architecture_row llama4_multimodal = renamed(llama4, "Llama4ForConditionalGeneration");

}  // namespace tessera::huggingface
