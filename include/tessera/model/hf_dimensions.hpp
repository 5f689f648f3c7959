// The sizes of a model, taken from config.json and checked once.
#pragma once

#include <cstdint>
#include <string_view>

#include "tessera/model/hf_config.hpp"

namespace tessera::model {

/// What tensor shapes and row maps are made of. All are at least 1, but `experts` of a model without any.
struct hf_dimensions {
    std::uint64_t layers = 0;
    std::uint64_t embedding = 0;
    std::uint64_t feed_forward = 0;
    std::uint64_t heads = 0;
    std::uint64_t key_heads = 0;   ///< divides `heads`
    std::uint64_t head_size = 0;   ///< even: rotary embedding turns pairs
    std::uint64_t query_rows = 0;  ///< heads * head_size
    std::uint64_t key_rows = 0;    ///< key_heads * head_size
    std::uint64_t vocabulary = 0;
    std::uint64_t experts = 0;
    std::uint64_t one = 1;  ///< rows of a vector

    /// Far above any real head: what is computed per head stays small, whatever a file says.
    static constexpr std::uint64_t max_head_size = 65536;

    hf_dimensions() = default;

    /// Throws naming the key when a size is missing, out of range, or does not go with another one.
    explicit hf_dimensions(const hf_config& config)
        : layers(config.require_count("num_hidden_layers", 512)),
          embedding(config.require_count("hidden_size")),
          feed_forward(config.require_count("intermediate_size")),
          heads(config.require_count("num_attention_heads")),
          key_heads(config.contains("num_key_value_heads") ? config.require_count("num_key_value_heads") : heads),
          vocabulary(config.require_count("vocab_size")),
          experts(config.count("num_local_experts", 1024).value_or(0)) {
        if (heads % key_heads != 0)
            config.reject("num_key_value_heads", "wanted a divisor of num_attention_heads, ", heads, ", got ",
                          key_heads);
        const bool is_given = config.contains("head_dim");
        if (!is_given && embedding % heads != 0)
            config.reject("num_attention_heads", "wanted a divisor of hidden_size, ", embedding, ", got ", heads);
        head_size = is_given ? config.require_count("head_dim") : embedding / heads;
        if (head_size % 2 != 0 || head_size > max_head_size)
            config.reject(is_given ? "head_dim" : "num_attention_heads", "wanted heads of an even size of at most ",
                          max_head_size, ", got ", head_size);
        if (experts > 0 && config.contains("num_experts_per_tok"))
            static_cast<void>(config.require_count("num_experts_per_tok", experts));  // no more than there are
        query_rows = heads * head_size;  // below 2^64, as both are below 2^32
        key_rows = key_heads * head_size;
    }
};

/// One of the dimensions, with how config.json calls it.
struct hf_dimension {
    std::string_view name;
    std::uint64_t hf_dimensions::*value;
};

}  // namespace tessera::model
