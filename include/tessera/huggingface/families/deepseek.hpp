// DeepSeek V2 and V3, and what is built like them: attention through a latent vector.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "tessera/huggingface/families/common.hpp"
#include "tessera/huggingface/families/glm.hpp"

namespace tessera::huggingface {

inline constexpr named_dimension query_rank{"q_lora_rank", &model_dimensions::query_rank};
inline constexpr named_dimension latent{"kv_lora_rank", &model_dimensions::latent};
inline constexpr named_dimension kv_a_rows{"kv_lora_rank + qk_rope_head_dim", &model_dimensions::kv_a_rows};
inline constexpr named_dimension nope_key{"qk_nope_head_dim", &model_dimensions::nope_key};
inline constexpr named_dimension value_size{"v_head_dim", &model_dimensions::value_size};
inline constexpr named_dimension kv_b_head{"qk_nope_head_dim + v_head_dim", &model_dimensions::kv_b_head};
inline constexpr named_dimension kv_b_rows{"num_attention_heads * (qk_nope_head_dim + v_head_dim)",
                                           &model_dimensions::kv_b_rows};
inline constexpr named_dimension value_rows{"num_attention_heads * v_head_dim", &model_dimensions::value_rows};

inline row_maps kv_b_values(const model_dimensions& d) {
    return {slices(d.heads, d.kv_b_head, d.value_size, d.nope_key)};
}

constexpr bool has_low_rank_queries(const model_dimensions& d, std::uint64_t) { return d.query_rank > 0; }
constexpr bool has_plain_queries(const model_dimensions& d, std::uint64_t) { return d.query_rank == 0; }

inline constexpr std::array low_rank_queries = std::to_array<tensor_rule>({
    {"attn_q_a.weight", "self_attn.q_a_proj.weight", embedding, query_rank},
    {"attn_q_a_norm.weight", "self_attn.q_a_layernorm.weight", query_rank, one},
    {"attn_q_b.weight", "self_attn.q_b_proj.weight", query_rank, query_rows},
});
inline constexpr std::array plain_queries = std::to_array<tensor_rule>({
    {"attn_q.weight", "self_attn.q_proj.weight", embedding, query_rows},
});

// kv_b_proj is split into keys, transposed so that they can be applied to the queries (MLA with absorbed weights),
// and values.
inline constexpr std::array latent_attention = std::to_array<tensor_rule>({
    {"attn_kv_a_mqa.weight", "self_attn.kv_a_proj_with_mqa.weight", embedding, kv_a_rows},
    {"attn_kv_a_norm.weight", "self_attn.kv_a_layernorm.weight", latent, one},
    {"attn_k_b.weight",
     "self_attn.kv_b_proj.weight",
     nope_key,
     latent,
     required,
     {.matrices = heads, .source = {latent, kv_b_rows, one}, .transposed = kv_b_head}},
    {"attn_v_b.weight",
     "self_attn.kv_b_proj.weight",
     latent,
     value_size,
     required,
     {.rows = kv_b_values, .matrices = heads, .source = {latent, kv_b_rows, one}}},
    {"attn_output.weight", "self_attn.o_proj.weight", value_rows, embedding},
});

inline constexpr std::array optional_expert_bias = std::to_array<tensor_rule>({
    {"exp_probs_b.bias", "mlp.gate.e_score_correction_bias", experts, one, optional},
});

inline constexpr std::array latent_metadata = std::to_array<metadata_rule>({
    size("attention.head_count_kv", "kv_lora_rank", &model_dimensions::one),
    size("attention.key_length", "kv_lora_rank", &model_dimensions::kv_a_rows),
    size("attention.value_length", "kv_lora_rank", &model_dimensions::latent),
    size("attention.key_length_mla", "kv_lora_rank", &model_dimensions::head_size),
    size("attention.value_length_mla", "kv_lora_rank", &model_dimensions::value_size),
    size("attention.kv_lora_rank", "kv_lora_rank", &model_dimensions::latent),
    optional_count("attention.q_lora_rank", "q_lora_rank"),
});

inline constexpr std::array deepseek2_fields = std::to_array<config_field>({
    {"partial_rotary_factor", "[1]"},
    {"rope_interleave", "[true]"},
    {"norm_topk_prob", "[false]"},
});
inline constexpr std::array deepseek3_fields = std::to_array<config_field>({
    {"partial_rotary_factor", "[1]"},
    {"rope_interleave", "[true]"},
    {"topk_method", R"(["noaux_tc"])"},
});
inline constexpr std::array youtu_fields =
    std::to_array<config_field>({{"partial_rotary_factor", "[1]"}, {"rope_interleave", "[true]"}});
inline constexpr std::array latent_sizes = std::to_array<std::string_view>({"topk_method"});

/// Version 2 knows experts in groups only where `topk_method` says so, and judges a group by its best expert.
inline void settle_groups(model_config& config, std::vector<std::string>& notes) {
    const config_field methods{"topk_method", R"(["greedy", "group_limited_greedy"])"};
    require_field(config, methods);
    if (config.text(methods.name).value_or("greedy") == "greedy") {
        for (const std::string_view key : {"n_group", "topk_group"}) config.erase(key);
    } else if (config.count("n_group").value_or(1) > 1) {
        notes.push_back(
            "topk_method group_limited_greedy: groups of experts are judged by their best expert, by loaders of GGUF "
            "by their two best");
    }
}

inline constexpr architecture_row deepseek2{
    .name = "DeepseekV2ForCausalLM",
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
    .rope = rope_style::latent,
    .assumes = deepseek2_fields,
    .reads = latent_sizes,
    .settle = settle_groups,
    .mtp = {mtp_rule::fate::left_out, "model.layers.{layer}."},
};

inline constexpr architecture_row deepseek3 = [] {
    architecture_row row = renamed(deepseek2, "DeepseekV3ForCausalLM");
    row.defaults = R"({"scoring_func": "sigmoid", "norm_topk_prob": true, "n_shared_experts": 1})";
    row.assumes = deepseek3_fields;
    row.settle = nullptr;
    return row;
}();
inline constexpr architecture_row kimi_multimodal = renamed(deepseek3, "KimiVLForConditionalGeneration");
inline constexpr architecture_row kimi25_multimodal = renamed(deepseek3, "KimiK25ForConditionalGeneration");

/// Without experts.
inline constexpr std::array dense_latent_metadata = std::to_array<metadata_rule>({
    size("leading_dense_block_count", "num_hidden_layers", &model_dimensions::layers),
    size("expert_feed_forward_length", "intermediate_size", &model_dimensions::feed_forward),
    optional_count("expert_shared_count", "n_shared_experts"),
});
inline constexpr architecture_row youtu{
    .name = "YoutuForCausalLM",
    .gguf_name = "deepseek2",
    .last = last_tensors,
    .layer = {{{attention_norm},
               {low_rank_queries, has_low_rank_queries},
               {plain_queries, has_plain_queries},
               {latent_attention},
               {feed_forward_norm},
               {gated_feed_forward}}},
    .metadata = {common_metadata, latent_metadata, rotary_metadata, dense_latent_metadata},
    .rope = rope_style::latent,
    .defaults = R"({"n_shared_experts": 0, "tie_word_embeddings": true})",
    .assumes = youtu_fields,
    .reads = latent_sizes,
};

inline constexpr std::array mtp_metadata =
    std::to_array<metadata_rule>({optional_size("nextn_predict_layers", &model_dimensions::mtp_layers)});
inline constexpr architecture_row glm4moe_lite = [] {
    architecture_row row = renamed(deepseek3, "Glm4MoeLiteForCausalLM");
    row.layer[9] = {glm_mtp, is_mtp_layer};
    row.metadata[4] = mtp_metadata;
    row.defaults = R"({"scoring_func": "sigmoid", "norm_topk_prob": true, "n_shared_experts": 1,
                       "first_k_dense_replace": 1, "routed_scaling_factor": 1.8})";
    row.mtp = {mtp_rule::fate::kept, "model.layers.{layer}."};
    row.special_tokens = glm_special_tokens;
    return row;
}();

}  // namespace tessera::huggingface
