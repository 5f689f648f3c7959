// Qwen3-Next and Qwen3.5: linear attention in most layers.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <string_view>

#include "tessera/huggingface/families/common.hpp"
#include "tessera/huggingface/families/glm.hpp"
#include "tessera/huggingface/families/qwen.hpp"

namespace tessera::huggingface {

inline constexpr named_dimension gated_query_rows{"2 * num_attention_heads * head size",
                                                  &model_dimensions::gated_query_rows};
inline constexpr named_dimension linear_kernel{"linear_conv_kernel_dim", &model_dimensions::linear_kernel};
inline constexpr named_dimension linear_head{"linear_key_head_dim", &model_dimensions::linear_head};
inline constexpr named_dimension linear_value_heads{"linear_num_value_heads", &model_dimensions::linear_value_heads};
inline constexpr named_dimension linear_value_rows{"linear_num_value_heads * linear_value_head_dim",
                                                   &model_dimensions::linear_value_rows};
inline constexpr named_dimension linear_qkv_rows{"query, key and value rows", &model_dimensions::linear_qkv_rows};
inline constexpr named_dimension linear_qkvz_rows{"query, key, value and gate rows",
                                                  &model_dimensions::linear_qkvz_rows};
inline constexpr named_dimension linear_ba_rows{"2 * linear_num_value_heads", &model_dimensions::linear_ba_rows};

constexpr bool in_full_layers(const model_dimensions& d, std::uint64_t layer) {
    return layer < d.layers && (layer + 1) % d.attention_interval == 0;
}
constexpr bool in_linear_layers(const model_dimensions& d, std::uint64_t layer) {
    return layer < d.layers && !in_full_layers(d, layer);
}
constexpr bool in_trunk(const model_dimensions& d, std::uint64_t layer) { return layer < d.layers; }

inline float negative_exp(float x) { return -std::exp(x); }

inline constexpr std::array hybrid_norms = std::to_array<tensor_rule>({
    {"attn_norm.weight", "input_layernorm.weight", embedding, one, required, shifted},
    {"post_attention_norm.weight", "post_attention_layernorm.weight", embedding, one, required, shifted},
});

/// Of every head, query rows, then gate rows: as GGUF has them.
inline constexpr std::array gated_attention = std::to_array<tensor_rule>({
    {"attn_q.weight", "self_attn.q_proj.weight", embedding, gated_query_rows},
    {"attn_k.weight", "self_attn.k_proj.weight", embedding, key_rows},
    {"attn_v.weight", "self_attn.v_proj.weight", embedding, key_rows},
    {"attn_output.weight", "self_attn.o_proj.weight", query_rows, embedding},
    {"attn_q_norm.weight", "self_attn.q_norm.weight", head_size, one, required, shifted},
    {"attn_k_norm.weight", "self_attn.k_norm.weight", head_size, one, required, shifted},
});

// Qwen3-Next has the projections of a key head together: its queries, its keys, the values of its value heads, and
// their gates.

inline std::uint64_t value_rows_of_key_head(const model_dimensions& d) {
    return d.linear_value_rows / d.linear_key_heads;
}
inline row_map of_key_heads(const model_dimensions& d, std::uint64_t rows, std::uint64_t offset) {
    return slices(d.linear_key_heads, d.linear_qkvz_rows / d.linear_key_heads, rows, offset);
}
inline row_maps unfused_mix(const model_dimensions& d) {
    return {of_key_heads(d, d.linear_head, 0), of_key_heads(d, d.linear_head, d.linear_head),
            of_key_heads(d, value_rows_of_key_head(d), 2 * d.linear_head)};
}
inline row_maps unfused_gates(const model_dimensions& d) {
    return {of_key_heads(d, value_rows_of_key_head(d), 2 * d.linear_head + value_rows_of_key_head(d))};
}

inline constexpr std::array fused_linear_attention = std::to_array<tensor_rule>({
    {"attn_qkv.weight",
     "linear_attn.in_proj_qkvz.weight",
     embedding,
     linear_qkv_rows,
     required,
     {.rows = unfused_mix, .source = {embedding, linear_qkvz_rows, one}}},
    {"attn_gate.weight",
     "linear_attn.in_proj_qkvz.weight",
     embedding,
     linear_value_rows,
     required,
     {.rows = unfused_gates, .source = {embedding, linear_qkvz_rows, one}}},
    {"ssm_ba.weight", "linear_attn.in_proj_ba.weight", embedding, linear_ba_rows},
    {"ssm_conv1d.weight",
     "linear_attn.conv1d.weight",
     linear_kernel,
     linear_qkv_rows,
     required,
     {.source = {linear_kernel, one, linear_qkv_rows}}},
    {"ssm_dt.bias", "linear_attn.dt_bias", linear_value_heads, one},
    {"ssm_a", "linear_attn.A_log", linear_value_heads, one, required, {.value = negative_exp}},
    {"ssm_norm.weight", "linear_attn.norm.weight", linear_head, one},
    {"ssm_out.weight", "linear_attn.out_proj.weight", linear_value_rows, embedding},
});

// Qwen3.5 has them apart. In GGUF, value head h belongs to key head h modulo the number of these; in the source, value
// heads of a key head follow each other.

inline row_map interleaved_heads(const model_dimensions& d, std::uint64_t head_rows, std::uint64_t offset) {
    return interleaved(d.linear_key_heads, d.linear_value_heads / d.linear_key_heads, head_rows, offset);
}
inline row_maps interleaved_values(const model_dimensions& d) { return {interleaved_heads(d, d.linear_head, 0)}; }
inline row_map value_columns_in_turns(const model_dimensions& d) { return interleaved_heads(d, d.linear_head, 0); }
inline row_maps controls_in_turns(const model_dimensions& d) { return {interleaved_heads(d, 1, 0)}; }
inline row_maps mix_in_turns(const model_dimensions& d) {
    return {row_map(2 * d.linear_key_rows), interleaved_heads(d, d.linear_head, 2 * d.linear_key_rows)};
}

inline constexpr std::array linear_attention = std::to_array<tensor_rule>({
    {"attn_qkv.weight", "linear_attn.in_proj_qkv.weight", embedding, linear_qkv_rows, required, {.rows = mix_in_turns}},
    {"attn_gate.weight",
     "linear_attn.in_proj_z.weight",
     embedding,
     linear_value_rows,
     required,
     {.rows = interleaved_values}},
    {"ssm_beta.weight",
     "linear_attn.in_proj_b.weight",
     embedding,
     linear_value_heads,
     required,
     {.rows = controls_in_turns}},
    {"ssm_alpha.weight",
     "linear_attn.in_proj_a.weight",
     embedding,
     linear_value_heads,
     required,
     {.rows = controls_in_turns}},
    {"ssm_conv1d.weight",
     "linear_attn.conv1d.weight",
     linear_kernel,
     linear_qkv_rows,
     required,
     {.rows = mix_in_turns, .source = {linear_kernel, one, linear_qkv_rows}}},
    {"ssm_dt.bias", "linear_attn.dt_bias", linear_value_heads, one, required, {.rows = controls_in_turns}},
    {"ssm_a",
     "linear_attn.A_log",
     linear_value_heads,
     one,
     required,
     {.rows = controls_in_turns, .value = negative_exp}},
    {"ssm_norm.weight", "linear_attn.norm.weight", linear_head, one},
    {"ssm_out.weight",
     "linear_attn.out_proj.weight",
     linear_value_rows,
     embedding,
     required,
     {.columns = value_columns_in_turns}},
});

/// What enters the layer for multi-token prediction.
inline constexpr std::array qwen_mtp = std::to_array<tensor_rule>({
    {"nextn.eh_proj.weight", "fc.weight", doubled_embedding, embedding},
    {"nextn.enorm.weight", "pre_fc_norm_embedding.weight", embedding, one, required, shifted},
    {"nextn.hnorm.weight", "pre_fc_norm_hidden.weight", embedding, one, required, shifted},
    {"nextn.shared_head_norm.weight", "norm.weight", embedding, one, required, shifted},
});

inline constexpr std::array linear_attention_metadata = std::to_array<metadata_rule>({
    {"ssm.conv_kernel", "linear_conv_kernel_dim"},
    {"ssm.state_size", "linear_key_head_dim"},
    {"ssm.group_count", "linear_num_key_heads"},
    {"ssm.time_step_rank", "linear_num_value_heads"},
    size("ssm.inner_size", "linear_num_value_heads", &model_dimensions::linear_value_rows),
    {"full_attention_interval", "full_attention_interval"},
    size("rope.dimension_count", "partial_rotary_factor", &model_dimensions::rotary),
    optional_size("nextn_predict_layers", &model_dimensions::mtp_layers),
});

inline constexpr std::array mtp_of_qwen3next = std::to_array<std::string_view>({"mtp."});

inline constexpr std::array hybrid_fields = std::to_array<config_field>({
    {"use_qk_norm", "[true]"},
    {"attn_output_gate", "[true]"},
    {"norm_topk_prob", "[true]"},
});

inline constexpr architecture_row qwen3next{
    .name = "Qwen3NextForCausalLM",
    .gguf_name = "qwen3next",
    .last = shifted_last_tensors,
    .layer = {{{hybrid_norms},
               {gated_attention, in_full_layers},
               {fused_linear_attention, in_linear_layers},
               {routed_experts},
               {gated_shared_expert}}},
    .metadata = {common_metadata, head_metadata, gated_shared_expert_metadata, linear_attention_metadata},
    .defaults = R"({"head_dim": 256, "partial_rotary_factor": 0.25, "full_attention_interval": 4})",
    .assumes = hybrid_fields,
    .left_out = mtp_of_qwen3next,
};

/// With the dense feed-forward or with experts, and alone or as the text part of a multimodal model.
inline constexpr std::string_view qwen35_defaults =
    R"({"head_dim": 256, "partial_rotary_factor": 0.25, "full_attention_interval": 4, "mrope_section": [11, 11, 10]})";
inline constexpr std::string_view mtp_layer = "mtp.layers.{mtp}.";

inline constexpr architecture_row qwen35{
    .name = "Qwen3_5ForCausalLM",
    .gguf_name = "qwen35",
    .last = shifted_last_tensors,
    .layer = {{{hybrid_norms, in_trunk},
               {gated_attention, in_full_layers},
               {linear_attention, in_linear_layers},
               {gated_feed_forward, in_trunk},
               {hybrid_norms, is_mtp_layer, mtp_layer},
               {gated_attention, is_mtp_layer, mtp_layer},
               {gated_feed_forward, is_mtp_layer, mtp_layer},
               {qwen_mtp, is_mtp_layer, "mtp."}}},
    .metadata = {common_metadata, head_metadata, linear_attention_metadata},
    .defaults = qwen35_defaults,
    .assumes = hybrid_fields,
    .mtp = {mtp_rule::fate::kept, mtp_layer},
};

inline constexpr architecture_row qwen35moe{
    .name = "Qwen3_5MoeForCausalLM",
    .gguf_name = "qwen35moe",
    .last = shifted_last_tensors,
    .layer = {{{hybrid_norms, in_trunk},
               {gated_attention, in_full_layers},
               {linear_attention, in_linear_layers},
               {routed_experts, in_trunk},
               {gated_shared_expert, in_trunk},
               {hybrid_norms, is_mtp_layer, mtp_layer},
               {gated_attention, is_mtp_layer, mtp_layer},
               {routed_experts, is_mtp_layer, mtp_layer},
               {gated_shared_expert, is_mtp_layer, mtp_layer},
               {qwen_mtp, is_mtp_layer, "mtp."}}},
    .metadata = {common_metadata, head_metadata, gated_shared_expert_metadata, linear_attention_metadata},
    .defaults = qwen35_defaults,
    .assumes = hybrid_fields,
    .mtp = {mtp_rule::fate::kept, mtp_layer},
};

inline constexpr architecture_row qwen35_multimodal = renamed(qwen35, "Qwen3_5ForConditionalGeneration");
inline constexpr architecture_row qwen35moe_multimodal = renamed(qwen35moe, "Qwen3_5MoeForConditionalGeneration");
inline constexpr architecture_row minicpm_multimodal = [] {
    architecture_row row = renamed(qwen35, "MiniCPMV4_6ForConditionalGeneration");
    row.mtp = {};
    row.left_out = mtp_of_qwen3next;
    return row;
}();

}  // namespace tessera::huggingface
