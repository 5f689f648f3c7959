// The fields of config.json that are not sizes: which of them change what a model computes, and what GGUF's loaders
// take for granted.
#pragma once

#include <algorithm>
#include <array>
#include <string_view>
#include <vector>

#include "tessera/huggingface/config.hpp"

namespace tessera::huggingface {

/// A field and the values, a JSON list, under which a model computes what GGUF's loaders assume. An absent field and
/// null are always among them: what a class of transformers has in their place is in the defaults of an architecture.
struct config_field {
    enum class scope { all, experts };
    std::string_view name;
    std::string_view values;
    scope matters_in = scope::all;  ///< experts: only to architectures that have some
};

/// Every field that changes the forward pass of some class of transformers, beyond sizes and rotary embedding. The
/// values are those of a model that does not have the thing. An architecture takes part in a field when one of its
/// rules or its row names it; for every other one, another value than these is refused.
inline constexpr std::array optional_fields = std::to_array<config_field>({
    // Biases.
    {"attention_bias", "[false]"},
    {"mlp_bias", "[false]"},
    {"qkv_bias", "[false]"},
    {"use_qkv_bias", "[false]"},
    {"add_qkv_bias", "[false]"},
    {"attention_out_bias", "[false]"},
    {"attention_projection_bias", "[false]"},
    {"lm_head_bias", "[false]"},
    {"use_bias", "[false]"},
    {"bias", "[false]"},
    // Attention.
    {"attn_logit_softcapping", "[0]"},
    {"final_logit_softcapping", "[0]"},
    {"query_pre_attn_scalar", "[]"},
    {"attention_multiplier", "[]"},
    {"attn_output_gate", "[false]"},
    {"attention_sink", "[false]"},
    {"attention_value_scale", "[1]"},
    {"attention_k_eq_v", "[false]"},
    {"num_global_key_value_heads", "[]"},
    {"global_head_dim", "[]"},
    {"num_kv_shared_layers", "[0]"},
    {"clip_qkv", "[]"},
    {"clamp_kqv", "[]"},
    {"use_qk_norm", "[false]"},
    {"qk_norm", "[false]"},
    {"qk_layernorm", "[false]"},
    {"use_qk_layernorm", "[false]"},
    {"use_bidirectional_attention", "[false]"},
    {"is_causal", "[true]"},
    {"is_encoder_decoder", "[false]"},
    {"add_cross_attention", "[false]"},
    {"index_topk", "[]"},
    {"sparse_attention_config", "[]"},
    {"attention_chunk_size", "[]"},
    {"attn_temperature_tuning", "[false, 0]"},
    {"floor_scale", "[]"},
    {"attn_scale", "[]"},
    {"llama_4_scaling_beta", "[0]"},
    // Positions.
    {"partial_rotary_factor", "[1]"},
    {"rotary_pct", "[1]"},
    {"rotary_dim", "[]"},
    {"rope_interleave", "[false]"},
    {"rope_interleaved", "[false]"},
    {"no_rope_layers", "[[]]"},
    {"no_rope_layer_interval", "[]"},
    {"nope_layer_interval", "[]"},
    {"position_embedding_type", "[\"rope\", \"rotary\"]"},
    {"alibi", "[false]"},
    {"use_alibi", "[false]"},
    {"use_rope", "[true]"},
    {"rope_local_base_freq", "[]"},
    // Which layers do what.
    {"sliding_window_pattern", "[]"},
    {"_sliding_window_pattern", "[]"},
    {"full_attention_interval", "[1]"},
    {"linear_num_key_heads", "[]"},
    {"attn_layer_period", "[]"},
    {"hybrid_override_pattern", "[]"},
    {"mtp_use_dedicated_embeddings", "[false]"},
    {"layers_block_type", "[]"},
    {"parallel_attn", "[false]"},
    {"use_parallel_residual", "[false]"},
    {"first_k_dense_replace", "[0]", config_field::scope::experts},
    {"interleave_moe_layer_step", "[1]", config_field::scope::experts},
    {"moe_layers", "[]", config_field::scope::experts},
    {"moe_layer_freq", "[1]", config_field::scope::experts},
    {"decoder_sparse_step", "[1]", config_field::scope::experts},
    {"mlp_only_layers", "[[]]", config_field::scope::experts},
    {"moe_every_n_layers", "[1]", config_field::scope::experts},
    // Networks.
    {"swiglu_limit", "[]"},
    {"swiglu_alpha", "[]"},
    {"swiglu_limits", "[]"},
    {"gated_mlp", "[true]"},
    {"activation_sparsity_pattern", "[]"},
    {"use_double_wide_mlp", "[false]"},
    {"hidden_size_per_layer_input", "[0]"},
    {"intermediate_size_mlp", "[]"},
    {"kv_lora_rank", "[]"},
    // Experts.
    {"num_local_experts", "[0]"},
    {"num_experts", "[0]"},
    {"n_routed_experts", "[0]"},
    {"enable_moe_block", "[false]"},
    {"moe_intermediate_size", "[]", config_field::scope::experts},
    {"moe_latent_size", "[0]", config_field::scope::experts},
    {"shared_expert_intermediate_size", "[0]", config_field::scope::experts},
    {"shared_intermediate_size", "[0]", config_field::scope::experts},
    {"n_shared_experts", "[0]", config_field::scope::experts},
    {"num_shared_experts", "[0]", config_field::scope::experts},
    {"norm_topk_prob", "[false]", config_field::scope::experts},
    {"moe_renormalize", "[true]", config_field::scope::experts},
    {"scoring_func", "[\"softmax\"]", config_field::scope::experts},
    {"topk_method", "[\"greedy\"]", config_field::scope::experts},
    {"n_group", "[1]", config_field::scope::experts},
    {"topk_group", "[1]", config_field::scope::experts},
    {"routed_scaling_factor", "[1]", config_field::scope::experts},
    {"moe_routed_scaling_factor", "[1]", config_field::scope::experts},
    {"use_routing_bias", "[false]", config_field::scope::experts},
    // Multipliers.
    {"embedding_multiplier", "[1]"},
    {"residual_multiplier", "[1]"},
    {"logits_scaling", "[1]"},
    {"logit_scale", "[1]"},
    {"scale_emb", "[1]"},
    {"scale_depth", "[]"},
    {"dim_model_base", "[]"},
    {"lm_head_multiplier", "[1]"},
    {"key_multiplier", "[1]"},
    {"attention_in_multiplier", "[1]"},
    {"attention_out_multiplier", "[1]"},
    {"mlp_multipliers", "[[1, 1]]"},
    {"hyper_connection_count", "[]"},
    {"hc_mult", "[]"},
    {"layernorm_type", "[\"rmsnorm\"]"},
    {"norm_type", "[\"rmsnorm\"]"},
    {"use_rmsnorm", "[true]"},
    {"apply_residual_connection_post_layernorm", "[false]"},
});

/// Fields that change nothing a converted model computes: training, generation, tokens, other parts of a model, and
/// what the writer of the file noted down. Sizes of these parts are in objects of their own.
[[nodiscard]] inline bool is_bookkeeping(std::string_view field) {
    constexpr std::array names = std::to_array<std::string_view>({
        "architectures",
        "auto_map",
        "model_type",
        "dtype",
        "torch_dtype",
        "transformers_version",
        "use_cache",
        "use_bfloat16",
        "return_dict",
        "return_dict_in_generate",
        "torchscript",
        "pruned_heads",
        "finetuning_task",
        "task_specific_params",
        "problem_type",
        "id2label",
        "label2id",
        "tokenizer_class",
        "prefix",
        "is_decoder",
        "cross_attention_hidden_size",
        "chunk_size_feed_forward",
        "tf_legacy_loss",
        "tie_encoder_decoder",
        "initializer_range",
        "embedding_initializer_range",
        "initializer_cutoff_factor",
        "pretraining_tp",
        "ep_size",
        "keys_to_ignore_at_inference",
        "output_attentions",
        "output_hidden_states",
        "output_router_logits",
        "output_scores",
        "router_aux_loss_coef",
        "aux_loss_alpha",
        "seq_aux",
        "router_jitter_noise",
        "ignore_index",
        "mamba_ssm_dtype",
        "mm_tokens_per_image",
        "pad_token",
        "unsloth_version",
        "unsloth_fixed",
        "language_model_only",
        "is_composition",
        "attn_implementation",
        "for_llm_compressor",
        "experts_per_token",
        "initial_context_length",
        "qk_head_dim",
        "hf_device_map",
        "neuron",
        // Of generation, which older versions kept here.
        "max_length",
        "min_length",
        "do_sample",
        "early_stopping",
        "num_beams",
        "num_beam_groups",
        "diversity_penalty",
        "temperature",
        "top_k",
        "top_p",
        "typical_p",
        "repetition_penalty",
        "length_penalty",
        "no_repeat_ngram_size",
        "encoder_no_repeat_ngram_size",
        "bad_words_ids",
        "num_return_sequences",
        "exponential_decay_length_penalty",
        "suppress_tokens",
        "begin_suppress_tokens",
        "remove_invalid_values",
    });
    constexpr std::array ends = std::to_array<std::string_view>(
        {"_token_id", "_token_ids", "_token_index", "_dropout", "pdrop", "_config", "_loss_coef", "_placeholder"});
    constexpr std::array parts = std::to_array<std::string_view>({"vision", "image", "video", "audio", "projector"});
    return std::find(names.begin(), names.end(), field) != names.end() ||
           std::any_of(ends.begin(), ends.end(), [&](std::string_view end) { return field.ends_with(end); }) ||
           std::any_of(parts.begin(), parts.end(),
                       [&](std::string_view part) { return field.find(part) != std::string_view::npos; });
}

/// The message for a field whose value GGUF has no counterpart to.
[[noreturn]] inline void refuse_field(const model_config& config, std::string_view field, std::string_view wanted) {
    config.reject(field, "wanted ", wanted, ", as loaders of GGUF take it to be in this architecture, got ",
                  config.shown(field));
}

/// The values of a JSON list as a sentence has them: "true, 1 or nothing".
[[nodiscard]] inline std::string values_text(std::string_view values) {
    std::string text;
    for (const nlohmann::json& value : nlohmann::json::parse(values)) text += (text.empty() ? "" : ", ") + value.dump();
    return text.empty() ? "nothing" : text + " or nothing";
}

/// Throws naming the field when it is there and holds none of the values.
inline void require_field(const model_config& config, const config_field& field) {
    if (config.contains(field.name) && !config.is_one_of(field.name, field.values))
        refuse_field(config, field.name, values_text(field.values));
}

}  // namespace tessera::huggingface
