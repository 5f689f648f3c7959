// gpt-oss.
#pragma once

#include <array>

#include "tessera/huggingface/families/common.hpp"

namespace tessera::huggingface {

inline constexpr std::array gpt_oss_attention = std::to_array<tensor_rule>({
    {"attn_output.bias", "self_attn.o_proj.bias", embedding, one},
    {"attn_sinks.weight", "self_attn.sinks", heads, one},
});

// Gate and up rows alternate. Checkpoints in full precision have matrices to be multiplied from the right.

inline row_maps even_rows(const model_dimensions& d) {
    return {every_second(d.experts, d.fused_expert_feed_forward, d.expert_feed_forward, 0)};
}
inline row_maps odd_rows(const model_dimensions& d) {
    return {every_second(d.experts, d.fused_expert_feed_forward, d.expert_feed_forward, 1)};
}
inline row_maps even_columns_as_rows(const model_dimensions& d) {
    return {every_second(1, 0, d.expert_feed_forward, 0)};
}
inline row_maps odd_columns_as_rows(const model_dimensions& d) {
    return {every_second(1, 0, d.expert_feed_forward, 1)};
}
inline row_map even_columns(const model_dimensions& d) { return every_second(1, 0, d.expert_feed_forward, 0); }
inline row_map odd_columns(const model_dimensions& d) { return every_second(1, 0, d.expert_feed_forward, 1); }

inline constexpr std::array gpt_oss_experts = std::to_array<tensor_rule>({
    {"ffn_gate_inp.weight", "mlp.router.weight", embedding, experts},
    {"ffn_gate_inp.bias", "mlp.router.bias", experts, one},
    {"ffn_gate_exps.weight",
     "mlp.experts.gate_up_proj_blocks",
     embedding,
     expert_feed_forward,
     required,
     {.rows = even_rows,
      .matrices = experts,
      .source = {embedding, fused_expert_feed_forward, experts},
      .packed = tensor_transform::packing::mxfp4}},
    {"ffn_gate_exps.weight",
     "mlp.experts.gate_up_proj",
     embedding,
     expert_feed_forward,
     required,
     {.rows = even_columns_as_rows,
      .matrices = experts,
      .source = {fused_expert_feed_forward, embedding, experts},
      .transposed = embedding}},
    {"ffn_gate_exps.bias",
     "mlp.experts.gate_up_proj_bias",
     expert_feed_forward,
     experts,
     required,
     {.columns = even_columns, .source = {fused_expert_feed_forward, experts, one}}},
    {"ffn_down_exps.weight",
     "mlp.experts.down_proj_blocks",
     expert_feed_forward,
     embedding,
     required,
     {.matrices = experts, .packed = tensor_transform::packing::mxfp4}},
    {"ffn_down_exps.weight",
     "mlp.experts.down_proj",
     expert_feed_forward,
     embedding,
     required,
     {.matrices = experts, .source = {embedding, expert_feed_forward, experts}, .transposed = expert_feed_forward}},
    {"ffn_down_exps.bias", "mlp.experts.down_proj_bias", embedding, experts},
    {"ffn_up_exps.weight",
     "mlp.experts.gate_up_proj_blocks",
     embedding,
     expert_feed_forward,
     required,
     {.rows = odd_rows,
      .matrices = experts,
      .source = {embedding, fused_expert_feed_forward, experts},
      .packed = tensor_transform::packing::mxfp4}},
    {"ffn_up_exps.weight",
     "mlp.experts.gate_up_proj",
     embedding,
     expert_feed_forward,
     required,
     {.rows = odd_columns_as_rows,
      .matrices = experts,
      .source = {fused_expert_feed_forward, embedding, experts},
      .transposed = embedding}},
    {"ffn_up_exps.bias",
     "mlp.experts.gate_up_proj_bias",
     expert_feed_forward,
     experts,
     required,
     {.columns = odd_columns, .source = {fused_expert_feed_forward, experts, one}}},
});

inline constexpr std::array gpt_oss_metadata = std::to_array<metadata_rule>({
    size("expert_count", "num_local_experts", &model_dimensions::experts),
    {"expert_used_count", "num_experts_per_tok"},
    size("expert_feed_forward_length", "intermediate_size", &model_dimensions::expert_feed_forward),
    {"attention.sliding_window", "sliding_window"},
});

inline constexpr std::array gpt_oss_fields = std::to_array<config_field>({
    {"attention_bias", "[true]"},
    {"swiglu_limit", "[7]"},
    {"swiglu_alpha", "[1.702]"},
});

inline constexpr architecture_row gpt_oss{
    .name = "GptOssForCausalLM",
    .gguf_name = "gpt-oss",
    .last = last_tensors,
    .layer = {{{attention_norm}, {biased_attention}, {gpt_oss_attention}, {post_attention_norm}, {gpt_oss_experts}}},
    .metadata = {common_metadata, head_metadata, gpt_oss_metadata},
    .defaults = R"({"head_dim": 64, "sliding_window": 128, "rope_theta": 150000.0})",
    .assumes = gpt_oss_fields,
};

}  // namespace tessera::huggingface
