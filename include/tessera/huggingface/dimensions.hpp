// The sizes of a model, taken from config.json and checked once.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string_view>

#include "tessera/huggingface/config.hpp"

namespace tessera::huggingface {

/// What tensor shapes and row maps are made of. 0 stands for what a model does not have; the first group is always
/// there.
struct model_dimensions {
    std::uint64_t one = 1;  ///< rows of a vector
    std::uint64_t layers = 0;
    std::uint64_t embedding = 0;
    std::uint64_t vocabulary = 0;
    std::uint64_t heads = 0;
    std::uint64_t key_heads = 0;         ///< divides `heads`
    std::uint64_t head_size = 0;         ///< even: rotary embedding turns pairs
    std::uint64_t rotary = 0;            ///< values of a head that rotary embedding turns; even
    std::uint64_t query_rows = 0;        ///< heads * head_size
    std::uint64_t key_rows = 0;          ///< key_heads * head_size
    std::uint64_t gated_query_rows = 0;  ///< queries and gates
    std::uint64_t fused_rows = 0;        ///< queries, keys, values

    std::uint64_t feed_forward = 0;        ///< of a layer without experts
    std::uint64_t fused_feed_forward = 0;  ///< gate and up

    std::uint64_t experts = 0;
    std::uint64_t expert_feed_forward = 0;
    std::uint64_t fused_expert_feed_forward = 0;  ///< gate and up
    std::uint64_t shared_feed_forward = 0;        ///< of the experts that always take part
    std::uint64_t leading_dense = 0;              ///< layers before the first with experts
    std::uint64_t sparse_step = 1;                ///< every how many layers there are experts

    // Layers for multi-token prediction, after the last ordinary one. They are found by their tensors, not in
    // config.json.
    std::uint64_t mtp_layers = 0;
    std::uint64_t blocks = 0;             ///< layers + mtp_layers
    std::uint64_t doubled_embedding = 0;  ///< their input

    // Multi-head latent attention (MLA, DeepSeek).
    std::uint64_t query_rank = 0;
    std::uint64_t latent = 0;      ///< kv_lora_rank: the rank of keys and values
    std::uint64_t nope_key = 0;    ///< qk_nope_head_dim: values of a key without rotary embedding
    std::uint64_t rope_key = 0;    ///< qk_rope_head_dim: and with it
    std::uint64_t value_size = 0;  ///< of a head
    std::uint64_t kv_a_rows = 0;   ///< latent + rope_key: of kv_a_proj_with_mqa
    std::uint64_t kv_b_head = 0;   ///< nope_key + value_size: rows of kv_b_proj for one head
    std::uint64_t kv_b_rows = 0;   ///< heads * kv_b_head
    std::uint64_t value_rows = 0;  ///< heads * value_size

    // Gated delta nets (Qwen3-Next).
    std::uint64_t attention_interval = 1;  ///< every how many layers there is full attention
    std::uint64_t linear_kernel = 0;
    std::uint64_t linear_head = 0;       ///< size of a head, of keys and values alike
    std::uint64_t linear_key_heads = 0;  ///< divides linear_value_heads
    std::uint64_t linear_value_heads = 0;
    std::uint64_t linear_key_rows = 0;
    std::uint64_t linear_value_rows = 0;
    std::uint64_t linear_qkv_rows = 0;   ///< queries, keys, values
    std::uint64_t linear_qkvz_rows = 0;  ///< queries, keys, values, gates
    std::uint64_t linear_ba_rows = 0;    ///< two per value head: beta and alpha

    /// Far above any real head: what is computed per head stays small, whatever a file says.
    static constexpr std::uint64_t max_head_size = 65536;

    model_dimensions() = default;

    /// Throws naming the key when a size is missing, out of range, or does not go with another one.
    explicit model_dimensions(const model_config& config)
        : layers(config.require_count("num_hidden_layers", 512)),
          embedding(config.require_count("hidden_size")),
          vocabulary(config.require_count("vocab_size")),
          heads(config.require_count("num_attention_heads")),
          key_heads(config.contains("num_key_value_heads") ? config.require_count("num_key_value_heads") : heads),
          blocks(layers),
          doubled_embedding(2 * embedding) {
        if (heads % key_heads != 0)
            config.reject("num_key_value_heads", "wanted a divisor of num_attention_heads, ", heads, ", got ",
                          key_heads);
        read_latent_attention(config);
        read_heads(config);
        read_feed_forward(config);
        read_linear_attention(config);
    }

    /// Appends layers for multi-token prediction.
    void append_mtp_layers(std::uint64_t count) {
        mtp_layers = count;
        blocks = layers + count;
    }

private:
    // The value of the first key that is there, else of the last, which must be.
    static std::uint64_t first_of(const model_config& config, std::initializer_list<std::string_view> keys,
                                  std::uint64_t limit = model_config::default_limit) {
        for (const std::string_view key : keys)
            if (config.contains(key)) return config.require_count(key, limit);
        return config.require_count(*(keys.end() - 1), limit);
    }

    void read_heads(const model_config& config) {
        const bool is_given = config.contains("head_dim") && latent == 0;
        if (!is_given && latent == 0 && embedding % heads != 0)
            config.reject("num_attention_heads", "wanted a divisor of hidden_size, ", embedding, ", got ", heads);
        head_size = latent > 0 ? nope_key + rope_key : is_given ? config.require_count("head_dim") : embedding / heads;
        if (const auto given = config.count("head_dim");
            latent > 0 && given && *given != rope_key && *given != head_size)
            config.reject("head_dim", "wanted qk_rope_head_dim, ", rope_key, ", got ", *given);
        if (head_size % 2 != 0 || head_size > max_head_size)
            config.reject(is_given ? "head_dim" : "num_attention_heads", "wanted heads of an even size of at most ",
                          max_head_size, ", got ", head_size);
        query_rows = heads * head_size;  // below 2^64, as both are below 2^32
        key_rows = key_heads * head_size;
        gated_query_rows = 2 * query_rows;
        fused_rows = query_rows + 2 * key_rows;

        rotary = latent > 0 ? rope_key : head_size;
        if (!config.contains("partial_rotary_factor")) return;
        const std::uint64_t whole = rotary;
        const double part = config.require_positive("partial_rotary_factor");
        rotary = part > 1 ? 0 : static_cast<std::uint64_t>(static_cast<double>(whole) * part);
        if (rotary == 0 || rotary % 2 != 0)
            config.reject("partial_rotary_factor", "wanted an even part of ", whole, " values, got ", part);
    }

    void read_feed_forward(const model_config& config) {
        std::string_view first;
        for (const std::string_view key : {"num_local_experts", "num_experts", "n_routed_experts"}) {
            const std::uint64_t count = config.count(key, 1024).value_or(0);
            if (experts != 0 && count != 0 && count != experts)
                config.reject(key, "wanted ", experts, ", as ", first, " has it, got ", count);
            if (experts == 0 && count != 0) {
                experts = count;
                first = key;
            }
        }
        // Where both kinds of layers are, Llama 4 has the plain ones' size under the longer name.
        const bool has_plain = config.contains("intermediate_size_mlp") || config.contains("intermediate_size");
        if (has_plain || experts == 0) feed_forward = first_of(config, {"intermediate_size_mlp", "intermediate_size"});
        fused_feed_forward = 2 * feed_forward;
        if (experts == 0) return;

        expert_feed_forward = first_of(config, {"moe_intermediate_size", "intermediate_size"});
        fused_expert_feed_forward = 2 * expert_feed_forward;
        shared_feed_forward = config.contains("shared_expert_intermediate_size")
                                  ? config.require_count("shared_expert_intermediate_size")
                                  : config.count("n_shared_experts", 1024).value_or(1) * expert_feed_forward;
        leading_dense = config.count("first_k_dense_replace").value_or(0);
        if (config.contains("interleave_moe_layer_step"))
            sparse_step = config.require_count("interleave_moe_layer_step");
        if (config.contains("num_experts_per_tok"))
            static_cast<void>(config.require_count("num_experts_per_tok", experts));  // no more than there are
    }

    void read_latent_attention(const model_config& config) {
        if (!config.contains("kv_lora_rank")) return;
        latent = config.require_count("kv_lora_rank", max_head_size);
        if (config.contains("q_lora_rank")) query_rank = config.require_count("q_lora_rank", max_head_size);
        nope_key = config.require_count("qk_nope_head_dim", max_head_size);
        rope_key = config.require_count("qk_rope_head_dim", max_head_size);
        value_size = config.require_count("v_head_dim", max_head_size);
        kv_a_rows = latent + rope_key;
        kv_b_head = nope_key + value_size;
        kv_b_rows = heads * kv_b_head;
        value_rows = heads * value_size;
    }

    void read_linear_attention(const model_config& config) {
        if (!config.contains("linear_num_key_heads")) return;
        attention_interval = config.require_count("full_attention_interval");
        linear_kernel = config.require_count("linear_conv_kernel_dim", max_head_size);
        linear_head = config.require_count("linear_key_head_dim", max_head_size);
        linear_key_heads = config.require_count("linear_num_key_heads", max_head_size);
        linear_value_heads = config.require_count("linear_num_value_heads", max_head_size);
        if (linear_value_heads % linear_key_heads != 0)
            config.reject("linear_num_value_heads", "wanted a multiple of linear_num_key_heads, ", linear_key_heads,
                          ", got ", linear_value_heads);
        if (const auto size = config.require_count("linear_value_head_dim", max_head_size); size != linear_head)
            config.reject("linear_value_head_dim", "wanted linear_key_head_dim, ", linear_head, ", got ", size);
        linear_key_rows = linear_key_heads * linear_head;
        linear_value_rows = linear_value_heads * linear_head;
        linear_qkv_rows = 2 * linear_key_rows + linear_value_rows;
        linear_qkvz_rows = linear_qkv_rows + linear_value_rows;
        linear_ba_rows = 2 * linear_value_heads;
    }
};

/// One of the dimensions, with how config.json calls it.
struct named_dimension {
    std::string_view name = {};
    std::uint64_t model_dimensions::* value = nullptr;
};

}  // namespace tessera::huggingface
