// Rules that many Hugging Face architectures share.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "tessera/huggingface/rules.hpp"

namespace tessera::huggingface {

using enum presence;

inline constexpr named_dimension one{"1", &model_dimensions::one};
inline constexpr named_dimension embedding{"hidden_size", &model_dimensions::embedding};
inline constexpr named_dimension vocabulary{"vocab_size", &model_dimensions::vocabulary};
inline constexpr named_dimension head_size{"head size", &model_dimensions::head_size};
inline constexpr named_dimension heads{"num_attention_heads", &model_dimensions::heads};
inline constexpr named_dimension query_rows{"num_attention_heads * head size", &model_dimensions::query_rows};
inline constexpr named_dimension key_rows{"num_key_value_heads * head size", &model_dimensions::key_rows};
inline constexpr named_dimension feed_forward{"intermediate_size", &model_dimensions::feed_forward};
inline constexpr named_dimension experts{"number of experts", &model_dimensions::experts};
inline constexpr named_dimension expert_feed_forward{"moe_intermediate_size", &model_dimensions::expert_feed_forward};
inline constexpr named_dimension fused_expert_feed_forward{"2 * moe_intermediate_size",
                                                           &model_dimensions::fused_expert_feed_forward};
inline constexpr named_dimension shared_feed_forward{"intermediate size of shared experts",
                                                     &model_dimensions::shared_feed_forward};

/// The same architecture under another name.
constexpr architecture_row renamed(architecture_row row, std::string_view name) {
    row.name = name;
    return row;
}

// Which layers have what.
constexpr bool in_sparse_layers(const model_dimensions& d, std::uint64_t layer) {
    return d.experts > 0 && layer >= d.leading_dense && (layer + 1) % d.sparse_step == 0;
}
constexpr bool in_dense_layers(const model_dimensions& d, std::uint64_t layer) { return !in_sparse_layers(d, layer); }
constexpr bool is_mtp_layer(const model_dimensions& d, std::uint64_t layer) { return layer >= d.layers; }

/// How the names of tensors begin, perhaps after "model.", that belong to the parts of a model that are not text.
inline constexpr std::array other_parts = std::to_array<std::string_view>({
    "vision_tower",
    "vision_model",
    "vision_embedding",
    "vision_projector",
    "vision_adapter",
    "visual",
    "vit",
    "vpm",
    "siglip2",
    "merger",
    "resampler",
    "multi_modal_projector",
    "mm_projector",
    "vit_large_projector",
    "patch_merger",
    "patch_merge_mlp",
    "image_newline",
    "audio_tower",
    "audio_model",
    "audio_projector",
    "audio_encoder",
    "connector",
});

// Norms that are stored as the difference from 1.
inline float plus_one(float x) { return x + 1.0f; }
inline constexpr tensor_transform shifted{.value = plus_one};

constexpr metadata_rule size(std::string_view gguf, std::string_view config, std::uint64_t model_dimensions::* value) {
    return {gguf, config, metadata_rule::kind::size, required, value};
}
constexpr metadata_rule optional_size(std::string_view gguf, std::uint64_t model_dimensions::* value) {
    return {gguf, {}, metadata_rule::kind::size, optional, value};
}
constexpr metadata_rule optional_count(std::string_view gguf, std::string_view config) {
    return {gguf, config, metadata_rule::kind::count, optional};
}
constexpr metadata_rule number(std::string_view gguf, std::string_view config) {
    return {gguf, config, metadata_rule::kind::number};
}
constexpr metadata_rule optional_number(std::string_view gguf, std::string_view config) {
    return {gguf, config, metadata_rule::kind::number, optional};
}
constexpr metadata_rule flag(std::string_view gguf, std::string_view config) {
    return {gguf, config, metadata_rule::kind::flag, optional};
}

/// Metadata that every architecture has. Keys of rotary embedding are computed, not copied (rotary_embedding.hpp).
inline constexpr std::array common_metadata = std::to_array<metadata_rule>({
    {"context_length", "max_position_embeddings"},
    {"embedding_length", "hidden_size"},
    size("block_count", "num_hidden_layers", &model_dimensions::blocks),
    optional_size("feed_forward_length", &model_dimensions::feed_forward),
    {"attention.head_count", "num_attention_heads"},
    number("attention.layer_norm_rms_epsilon", "rms_norm_eps"),
    {"vocab_size", "vocab_size"},
});

/// And every one whose heads have keys of their own.
inline constexpr std::array head_metadata = std::to_array<metadata_rule>({
    optional_count("attention.head_count_kv", "num_key_value_heads"),
    optional_count("attention.key_length", "head_dim"),
    optional_count("attention.value_length", "head_dim"),
});

inline constexpr std::array rotary_metadata = std::to_array<metadata_rule>({
    size("rope.dimension_count", "partial_rotary_factor", &model_dimensions::rotary),
});

/// Of experts with a size of their own.
inline constexpr std::array expert_metadata = std::to_array<metadata_rule>({
    size("expert_count", "num_experts", &model_dimensions::experts),
    {"expert_used_count", "num_experts_per_tok"},
    size("expert_feed_forward_length", "moe_intermediate_size", &model_dimensions::expert_feed_forward),
});

/// Experts that always take part, and how the others are chosen.
inline constexpr std::array routing_metadata = std::to_array<metadata_rule>({
    size("expert_count", "n_routed_experts", &model_dimensions::experts),
    {"expert_used_count", "num_experts_per_tok"},
    size("expert_feed_forward_length", "moe_intermediate_size", &model_dimensions::expert_feed_forward),
    optional_count("expert_shared_count", "n_shared_experts"),
    optional_count("leading_dense_block_count", "first_k_dense_replace"),
    optional_number("expert_weights_scale", "routed_scaling_factor"),
    flag("expert_weights_norm", "norm_topk_prob"),
    {"expert_gating_func", "scoring_func", metadata_rule::kind::gating, optional},
    optional_count("expert_group_count", "n_group"),
    optional_count("expert_group_used_count", "topk_group"),
});

/// The tensors before the layers and after them.
inline constexpr std::array first_tensors = std::to_array<tensor_rule>({
    {"token_embd.weight", "model.embed_tokens.weight", embedding, vocabulary},
});
inline constexpr std::array last_tensors = std::to_array<tensor_rule>({
    {"output_norm.weight", "model.norm.weight", embedding, one},
    {"output.weight", "lm_head.weight", embedding, vocabulary},
});
inline constexpr std::array shifted_last_tensors = std::to_array<tensor_rule>({
    {"output_norm.weight", "model.norm.weight", embedding, one, required, shifted},
    {"output.weight", "lm_head.weight", embedding, vocabulary},
});

inline constexpr std::array attention_norm = std::to_array<tensor_rule>({
    {"attn_norm.weight", "input_layernorm.weight", embedding, one},
});
inline constexpr std::array feed_forward_norm = std::to_array<tensor_rule>({
    {"ffn_norm.weight", "post_attention_layernorm.weight", embedding, one},
});
/// The same norm where GGUF calls it as Hugging Face does.
inline constexpr std::array post_attention_norm = std::to_array<tensor_rule>({
    {"post_attention_norm.weight", "post_attention_layernorm.weight", embedding, one},
});

/// Projections whose rows stay: rotary embedding of these architectures turns halves in GGUF, too.
inline constexpr std::array attention = std::to_array<tensor_rule>({
    {"attn_q.weight", "self_attn.q_proj.weight", embedding, query_rows},
    {"attn_k.weight", "self_attn.k_proj.weight", embedding, key_rows},
    {"attn_v.weight", "self_attn.v_proj.weight", embedding, key_rows},
    {"attn_output.weight", "self_attn.o_proj.weight", query_rows, embedding},
});
/// The same with biases of queries, keys and values, always or where the field `flag` says so.
constexpr std::array<tensor_rule, 7> attention_with_biases(std::string_view flag = {}) {
    return {{
        {"attn_q.weight", "self_attn.q_proj.weight", embedding, query_rows},
        {"attn_q.bias", "self_attn.q_proj.bias", query_rows, one, required, {}, flag},
        {"attn_k.weight", "self_attn.k_proj.weight", embedding, key_rows},
        {"attn_k.bias", "self_attn.k_proj.bias", key_rows, one, required, {}, flag},
        {"attn_v.weight", "self_attn.v_proj.weight", embedding, key_rows},
        {"attn_v.bias", "self_attn.v_proj.bias", key_rows, one, required, {}, flag},
        {"attn_output.weight", "self_attn.o_proj.weight", query_rows, embedding},
    }};
}
inline constexpr std::array biased_attention = attention_with_biases();
inline constexpr std::array perhaps_biased_attention = attention_with_biases("attention_bias");
inline constexpr std::array attention_head_norms = std::to_array<tensor_rule>({
    {"attn_q_norm.weight", "self_attn.q_norm.weight", head_size, one},
    {"attn_k_norm.weight", "self_attn.k_norm.weight", head_size, one},
});
inline constexpr std::array shifted_head_norms = std::to_array<tensor_rule>({
    {"attn_q_norm.weight", "self_attn.q_norm.weight", head_size, one, required, shifted},
    {"attn_k_norm.weight", "self_attn.k_norm.weight", head_size, one, required, shifted},
});

inline constexpr std::array gated_feed_forward = std::to_array<tensor_rule>({
    {"ffn_gate.weight", "mlp.gate_proj.weight", embedding, feed_forward},
    {"ffn_down.weight", "mlp.down_proj.weight", feed_forward, embedding},
    {"ffn_up.weight", "mlp.up_proj.weight", embedding, feed_forward},
});

inline row_maps expert_gates(const model_dimensions& d) {
    return {slices(d.experts, d.fused_expert_feed_forward, d.expert_feed_forward, 0)};
}
inline row_maps expert_ups(const model_dimensions& d) {
    return {slices(d.experts, d.fused_expert_feed_forward, d.expert_feed_forward, d.expert_feed_forward)};
}

/// One matrix per expert, or all in one tensor, as newer checkpoints have them: gate rows, then up rows.
inline constexpr std::array routed_experts = std::to_array<tensor_rule>({
    {"ffn_gate_inp.weight", "mlp.gate.weight", embedding, experts},
    {"ffn_gate_exps.weight",
     "mlp.experts.gate_up_proj",
     embedding,
     expert_feed_forward,
     required,
     {.rows = expert_gates, .matrices = experts, .source = {embedding, fused_expert_feed_forward, experts}}},
    {"ffn_gate_exps.weight", "mlp.experts.{expert}.gate_proj.weight", embedding, expert_feed_forward},
    {"ffn_down_exps.weight", "mlp.experts.down_proj", expert_feed_forward, embedding, required, {.matrices = experts}},
    {"ffn_down_exps.weight", "mlp.experts.{expert}.down_proj.weight", expert_feed_forward, embedding},
    {"ffn_up_exps.weight",
     "mlp.experts.gate_up_proj",
     embedding,
     expert_feed_forward,
     required,
     {.rows = expert_ups, .matrices = experts, .source = {embedding, fused_expert_feed_forward, experts}}},
    {"ffn_up_exps.weight", "mlp.experts.{expert}.up_proj.weight", embedding, expert_feed_forward},
});

/// Shared experts as one (DeepSeek, GLM).
inline constexpr std::array shared_experts = std::to_array<tensor_rule>({
    {"ffn_gate_shexp.weight", "mlp.shared_experts.gate_proj.weight", embedding, shared_feed_forward},
    {"ffn_down_shexp.weight", "mlp.shared_experts.down_proj.weight", shared_feed_forward, embedding},
    {"ffn_up_shexp.weight", "mlp.shared_experts.up_proj.weight", embedding, shared_feed_forward},
});

}  // namespace tessera::huggingface
