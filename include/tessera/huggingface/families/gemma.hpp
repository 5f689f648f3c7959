// Gemma 2 and 3.
#pragma once

#include <array>

#include "tessera/huggingface/families/common.hpp"

namespace tessera::huggingface {

inline constexpr std::array gemma_attention_norm = std::to_array<tensor_rule>({
    {"attn_norm.weight", "input_layernorm.weight", embedding, one, required, shifted},
});
inline constexpr std::array gemma_feed_forward_norms = std::to_array<tensor_rule>({
    {"post_attention_norm.weight", "post_attention_layernorm.weight", embedding, one, required, shifted},
    {"ffn_norm.weight", "pre_feedforward_layernorm.weight", embedding, one, required, shifted},
    {"post_ffw_norm.weight", "post_feedforward_layernorm.weight", embedding, one, required, shifted},
});

inline constexpr std::array gemma2_metadata = std::to_array<metadata_rule>({
    number("attn_logit_softcapping", "attn_logit_softcapping"),
    number("final_logit_softcapping", "final_logit_softcapping"),
    {"attention.sliding_window", "sliding_window"},
});
inline constexpr std::array gemma3_metadata = std::to_array<metadata_rule>({
    optional_number("final_logit_softcapping", "final_logit_softcapping"),
    optional_count("attention.sliding_window", "sliding_window"),
});

inline constexpr std::array gemma_layers = std::to_array<std::string_view>(
    {"query_pre_attn_scalar", "sliding_window_pattern", "_sliding_window_pattern", "rope_local_base_freq"});

inline constexpr architecture_row gemma2{
    .name = "Gemma2ForCausalLM",
    .gguf_name = "gemma2",
    .last = shifted_last_tensors,
    .layer = {{{gemma_attention_norm}, {attention}, {gemma_feed_forward_norms}, {gated_feed_forward}}},
    .metadata = {common_metadata, head_metadata, gemma2_metadata},
    .rope = rope_style::none,
    .defaults = R"({"tie_word_embeddings": true, "head_dim": 256, "attn_logit_softcapping": 50.0,
                    "final_logit_softcapping": 30.0, "sliding_window": 4096, "query_pre_attn_scalar": 256})",
    .reads = gemma_layers,
};

inline constexpr architecture_row gemma3{
    .name = "Gemma3ForCausalLM",
    .gguf_name = "gemma3",
    .last = shifted_last_tensors,
    .layer =
        {{{gemma_attention_norm}, {attention}, {shifted_head_norms}, {gemma_feed_forward_norms}, {gated_feed_forward}}},
    .metadata = {common_metadata, head_metadata, gemma3_metadata},
    .defaults = R"({"tie_word_embeddings": true, "vocab_size": 262208, "num_attention_heads": 8,
                    "num_key_value_heads": 4, "head_dim": 256, "rms_norm_eps": 1e-6, "rope_theta": 1000000.0,
                    "max_position_embeddings": 131072, "sliding_window": 4096, "query_pre_attn_scalar": 256})",
    .reads = gemma_layers,
};

inline constexpr architecture_row gemma3_multimodal = renamed(gemma3, "Gemma3ForConditionalGeneration");

}  // namespace tessera::huggingface
