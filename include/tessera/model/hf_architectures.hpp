// The table of Hugging Face architectures: one row says everything about the conversion of one.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tessera/model/hf_config.hpp"
#include "tessera/model/hf_dimensions.hpp"
#include "tessera/model/hf_row_map.hpp"

namespace tessera::model {

enum class hf_need { required, optional };

/// One key of the metadata: "llama." and `gguf` is `config` in config.json. Counts become uint32, numbers float32.
struct hf_metadata_rule {
    enum class kind { count, number };
    std::string_view gguf;
    std::string_view config;
    kind type = kind::count;
    hf_need need = hf_need::required;
};

/// One GGUF tensor of `rows` x `columns` and the Hugging Face tensor that it is made of. Names of a layer's tensors
/// lack "blk.N." and "model.layers.N."; "{expert}" in a source makes a stack of one matrix per expert.
struct hf_tensor_rule {
    std::string_view gguf;
    std::string_view source;
    hf_dimension columns;  ///< the length of a vector
    hf_dimension rows;     ///< of one matrix; hf::one for a vector
    hf_need need = hf_need::required;
    hf_row_map (*row_map)(const hf_dimensions&) = nullptr;  ///< of rows, or of a vector's values; null: as they are
};

using hf_metadata_rules = std::span<const hf_metadata_rule>;
using hf_tensor_rules = std::span<const hf_tensor_rule>;

/// Everything about one architecture.
struct hf_architecture {
    std::string_view hf_name;              ///< in config.json's `architectures`
    std::string_view gguf_name;            ///< general.architecture
    std::array<hf_tensor_rules, 2> layer;  ///< the tensors of one layer, in the order they are written
    hf_metadata_rules metadata = {};       ///< besides hf_common_metadata
};

namespace hf {

inline constexpr hf_dimension one{"1", &hf_dimensions::one};
inline constexpr hf_dimension embedding{"hidden_size", &hf_dimensions::embedding};
inline constexpr hf_dimension feed_forward{"intermediate_size", &hf_dimensions::feed_forward};
inline constexpr hf_dimension query_rows{"num_attention_heads * head size", &hf_dimensions::query_rows};
inline constexpr hf_dimension key_rows{"num_key_value_heads * head size", &hf_dimensions::key_rows};
inline constexpr hf_dimension vocabulary{"vocab_size", &hf_dimensions::vocabulary};
inline constexpr hf_dimension experts{"num_local_experts", &hf_dimensions::experts};

inline constexpr hf_row_map queries(const hf_dimensions& d) { return interleaved_halves(d.heads, d.head_size); }
inline constexpr hf_row_map keys(const hf_dimensions& d) { return interleaved_halves(d.key_heads, d.head_size); }

}  // namespace hf

/// Metadata that every architecture has. Keys of rotary embedding are computed, not copied (hf_rope.hpp).
inline constexpr std::array hf_common_metadata = std::to_array<hf_metadata_rule>({
    {"context_length", "max_position_embeddings"},
    {"embedding_length", "hidden_size"},
    {"block_count", "num_hidden_layers"},
    {"feed_forward_length", "intermediate_size"},
    {"attention.head_count", "num_attention_heads"},
    {"attention.head_count_kv", "num_key_value_heads", hf_metadata_rule::kind::count, hf_need::optional},
    {"attention.key_length", "head_dim", hf_metadata_rule::kind::count, hf_need::optional},
    {"attention.value_length", "head_dim", hf_metadata_rule::kind::count, hf_need::optional},
    {"attention.layer_norm_rms_epsilon", "rms_norm_eps", hf_metadata_rule::kind::number},
    {"vocab_size", "vocab_size"},
});

/// The tensors before the layers and behind them.
inline constexpr std::array hf_first_tensors = std::to_array<hf_tensor_rule>({
    {"token_embd.weight", "model.embed_tokens.weight", hf::embedding, hf::vocabulary},
});
inline constexpr std::array hf_last_tensors = std::to_array<hf_tensor_rule>({
    {"output_norm.weight", "model.norm.weight", hf::embedding, hf::one},
    {"output.weight", "lm_head.weight", hf::embedding, hf::vocabulary},
});

namespace hf {

// Llama's rotary embedding turns neighbours in GGUF, hence the row maps.
inline constexpr std::array llama_attention = std::to_array<hf_tensor_rule>({
    {"attn_norm.weight", "input_layernorm.weight", embedding, one},
    {"attn_q.weight", "self_attn.q_proj.weight", embedding, query_rows, hf_need::required, queries},
    {"attn_q.bias", "self_attn.q_proj.bias", query_rows, one, hf_need::optional, queries},
    {"attn_k.weight", "self_attn.k_proj.weight", embedding, key_rows, hf_need::required, keys},
    {"attn_k.bias", "self_attn.k_proj.bias", key_rows, one, hf_need::optional, keys},
    {"attn_v.weight", "self_attn.v_proj.weight", embedding, key_rows},
    {"attn_v.bias", "self_attn.v_proj.bias", key_rows, one, hf_need::optional},
    {"attn_output.weight", "self_attn.o_proj.weight", query_rows, embedding},
    {"attn_output.bias", "self_attn.o_proj.bias", embedding, one, hf_need::optional},
    {"ffn_norm.weight", "post_attention_layernorm.weight", embedding, one},
});

inline constexpr std::array gated_feed_forward = std::to_array<hf_tensor_rule>({
    {"ffn_gate.weight", "mlp.gate_proj.weight", embedding, feed_forward},
    {"ffn_gate.bias", "mlp.gate_proj.bias", feed_forward, one, hf_need::optional},
    {"ffn_down.weight", "mlp.down_proj.weight", feed_forward, embedding},
    {"ffn_down.bias", "mlp.down_proj.bias", embedding, one, hf_need::optional},
    {"ffn_up.weight", "mlp.up_proj.weight", embedding, feed_forward},
    {"ffn_up.bias", "mlp.up_proj.bias", feed_forward, one, hf_need::optional},
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

}  // namespace hf

/// Every architecture that can be converted. Mistral's sliding window is not written: GGUF's llama has none.
inline constexpr std::array hf_architectures = std::to_array<hf_architecture>({
    {"LlamaForCausalLM", "llama", {hf::llama_attention, hf::gated_feed_forward}},
    {"MistralForCausalLM", "llama", {hf::llama_attention, hf::gated_feed_forward}},
    {"MixtralForCausalLM", "llama", {hf::llama_attention, hf::mixtral_experts}, hf::mixtral_metadata},
});

/// The architecture that config.json names. Throws when it names none or none of the table's.
[[nodiscard]] inline const hf_architecture& find_hf_architecture(const hf_config& config) {
    const std::vector<std::string> named = config.texts("architectures");
    std::string known;
    for (const hf_architecture& architecture : hf_architectures) {
        if (!named.empty() && named.front() == architecture.hf_name) return architecture;
        known += (known.empty() ? "" : ", ") + std::string(architecture.hf_name);
    }
    config.reject("architectures", "wanted one of ", known, ", got ", named.empty() ? "nothing" : named.front());
}

}  // namespace tessera::model
