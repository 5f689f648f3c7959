// DeepSeek V2 and V3: attention through a latent vector.
#pragma once

#include <array>

#include "tessera/model/hf/common.hpp"

namespace tessera::model::hf {

inline constexpr hf_dimension query_rank{"q_lora_rank", &hf_dimensions::query_rank};
inline constexpr hf_dimension latent{"kv_lora_rank", &hf_dimensions::latent};
inline constexpr hf_dimension latent_key{"kv_lora_rank + qk_rope_head_dim", &hf_dimensions::latent_key};
inline constexpr hf_dimension plain_key{"qk_nope_head_dim", &hf_dimensions::plain_key};
inline constexpr hf_dimension value_size{"v_head_dim", &hf_dimensions::value_size};
inline constexpr hf_dimension unfolded_head{"qk_nope_head_dim + v_head_dim", &hf_dimensions::unfolded_head};
inline constexpr hf_dimension unfolded_rows{"num_attention_heads * (qk_nope_head_dim + v_head_dim)",
                                            &hf_dimensions::unfolded_rows};
inline constexpr hf_dimension value_rows{"num_attention_heads * v_head_dim", &hf_dimensions::value_rows};

inline hf_row_maps unfolded_values(const hf_dimensions& d) {
    return {slices(d.heads, d.unfolded_head, d.value_size, d.plain_key)};
}

constexpr bool has_low_rank_queries(const hf_dimensions& d, std::uint64_t) { return d.query_rank > 0; }
constexpr bool has_plain_queries(const hf_dimensions& d, std::uint64_t) { return d.query_rank == 0; }

inline constexpr std::array low_rank_queries = std::to_array<hf_tensor_rule>({
    {"attn_q_a.weight", "self_attn.q_a_proj.weight", embedding, query_rank},
    {"attn_q_a_norm.weight", "self_attn.q_a_layernorm.weight", query_rank, one},
    {"attn_q_b.weight", "self_attn.q_b_proj.weight", query_rank, query_rows},
});
inline constexpr std::array plain_queries = std::to_array<hf_tensor_rule>({
    {"attn_q.weight", "self_attn.q_proj.weight", embedding, query_rows},
});

// What unfolds the latent vector is cut into two: keys, turned around so that they can be moved to the queries' side,
// and values.
inline constexpr std::array latent_attention = std::to_array<hf_tensor_rule>({
    {"attn_kv_a_mqa.weight", "self_attn.kv_a_proj_with_mqa.weight", embedding, latent_key},
    {"attn_kv_a_norm.weight", "self_attn.kv_a_layernorm.weight", latent, one},
    {"attn_k_b.weight",
     "self_attn.kv_b_proj.weight",
     plain_key,
     latent,
     required,
     {.matrices = heads, .source = {latent, unfolded_rows, one}, .transposed = unfolded_head}},
    {"attn_v_b.weight",
     "self_attn.kv_b_proj.weight",
     latent,
     value_size,
     required,
     {.rows = unfolded_values, .matrices = heads, .source = {latent, unfolded_rows, one}}},
    {"attn_output.weight", "self_attn.o_proj.weight", value_rows, embedding},
});

inline constexpr std::array optional_expert_bias = std::to_array<hf_tensor_rule>({
    {"exp_probs_b.bias", "mlp.gate.e_score_correction_bias", experts, one, optional},
});

inline constexpr std::array latent_metadata = std::to_array<hf_metadata_rule>({
    size("attention.head_count_kv", "kv_lora_rank", &hf_dimensions::one),
    size("attention.key_length", "kv_lora_rank", &hf_dimensions::latent_key),
    size("attention.value_length", "kv_lora_rank", &hf_dimensions::latent),
    size("attention.key_length_mla", "kv_lora_rank", &hf_dimensions::head_size),
    size("attention.value_length_mla", "kv_lora_rank", &hf_dimensions::value_size),
    size("attention.kv_lora_rank", "kv_lora_rank", &hf_dimensions::latent),
    optional_count("attention.q_lora_rank", "q_lora_rank"),
});

inline constexpr hf_architecture deepseek2{
    .hf_name = "DeepseekV2ForCausalLM",
    .gguf_name = "deepseek2",
    .last = last_tensors,
    .layer = {{{attention_norm},
               {low_rank_queries, has_low_rank_queries},
               {plain_queries, has_plain_queries},
               {latent_attention},
               {feed_forward_norm},
               {gated_feed_forward, in_dense_layers},
               {routed_experts, in_sparse_layers},
               {optional_expert_bias, in_sparse_layers},
               {shared_experts, in_sparse_layers}}},
    .metadata = {common_metadata, latent_metadata, rotary_metadata, routing_metadata},
    .next_token = {hf_next_token::fate::left_out, "model.layers.{layer}."},
};

inline constexpr hf_architecture deepseek3 = [] {
    hf_architecture row = deepseek2;
    row.hf_name = "DeepseekV3ForCausalLM";
    return row;
}();

}  // namespace tessera::model::hf
