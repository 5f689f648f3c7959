// Phi-3 and its successors of the same shape.
#pragma once

#include <array>

#include "tessera/huggingface/families/common.hpp"

namespace tessera::huggingface {

inline constexpr named_dimension fused_rows{"query, key and value rows", &model_dimensions::fused_rows};
inline constexpr named_dimension fused_feed_forward{"2 * intermediate_size", &model_dimensions::fused_feed_forward};

// GGUF keeps both fused projections as they are.
inline constexpr std::array phi3_attention = std::to_array<tensor_rule>({
    {"attn_qkv.weight", "self_attn.qkv_proj.weight", embedding, fused_rows},
    {"attn_output.weight", "self_attn.o_proj.weight", query_rows, embedding},
});
inline constexpr std::array phi3_feed_forward = std::to_array<tensor_rule>({
    {"ffn_down.weight", "mlp.down_proj.weight", feed_forward, embedding},
    {"ffn_up.weight", "mlp.gate_up_proj.weight", embedding, fused_feed_forward},
});

inline constexpr std::array phi3_metadata = std::to_array<metadata_rule>({
    optional_count("attention.head_count_kv", "num_key_value_heads"),
    optional_count("attention.sliding_window", "sliding_window"),
});

inline constexpr architecture_row phi3{
    .name = "Phi3ForCausalLM",
    .gguf_name = "phi3",
    .last = last_tensors,
    .layer = {{{attention_norm}, {phi3_attention}, {feed_forward_norm}, {phi3_feed_forward}}},
    .metadata = {common_metadata, rotary_metadata, phi3_metadata},
    .rope = rope_style::long_and_short,
    .defaults = R"({"sliding_window": 0})",
    .window = window_use::always,
};
inline constexpr architecture_row phi4_multimodal = renamed(phi3, "Phi4ForCausalLMV");

}  // namespace tessera::huggingface
