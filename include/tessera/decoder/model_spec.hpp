// An architecture as a value: everything the decoder must know besides the weights.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace tessera::decoder {

/// Which two numbers of a head are rotated together: neighbours (2i, 2i+1), or (i, i + dims/2). ("NORM" and "NEOX" in
/// ggml)
enum class rope_pairing { adjacent, halves };

/// How rotary embedding is scaled for positions beyond the trained context.
enum class rope_scaling { none, linear, yarn };

/// Rotary position embedding. Angle i at position p is p * base^(-2i/dims), divided by the model's factor i if it has
/// factors, then scaled.
struct rope_spec {
    rope_pairing pairing = rope_pairing::adjacent;
    std::size_t first = 0;  ///< the first number of a head that is rotated
    std::size_t dims = 0;   ///< numbers of a head that are rotated; the rest stays
    double base = 10000;
    rope_scaling scaling = rope_scaling::none;
    double factor = 1;            ///< linear and yarn: the context is longer by this
    double original_context = 0;  ///< positions the model was trained for before scaling
    double magnitude = 1;         ///< multiplies every rotated number
};

/// Attention temperature: queries at position p are multiplied by 1 + weight ln(floor((p + offset) / step) + 1). Step
/// 0: by nothing.
struct attention_temperature {
    std::size_t step = 0;
    std::size_t offset = 0;
    double weight = 0.1;
};

/// Which keys a query sees and how positions enter. No query sees later keys.
struct attention_scope {
    rope_spec rope = {};           ///< 0 dims: no rotation
    std::size_t window = 0;        ///< keys that a query sees, its own included; 0: no such limit
    std::size_t chunk = 0;         ///< a query sees the keys of its chunk of so many positions; 0: no such limit
    bool norm_after_rope = false;  ///< RMS norms without weights of each head's query and key, after the rotation
    attention_temperature temperature = {};
};

/// Attention over a compressed state of `rank` numbers per token that all heads share (MLA; DeepSeek-V2, 2024). Heads
/// compare `head_size` numbers, the last rope dims of them rotated, and yield `value_size`. Rank 0: not used.
struct latent_spec {
    std::size_t rank = 0;
    std::size_t query_rank = 0;  ///< queries come from a compressed state, too; 0: from the hidden state itself
    std::size_t head_size = 0;
    std::size_t value_size = 0;
};

/// Which of K key heads value head h of V works with: h / (V/K), or h mod K.
enum class head_order { grouped, tiled };

/// A gated delta net after a short causal convolution (Yang et al., 2024).
struct delta_net_spec {
    std::size_t kernel = 0;  ///< tokens that the convolution sees, the current one included
    std::size_t key_heads = 0, value_heads = 0;
    std::size_t head_size = 0;  ///< of keys, queries and values alike
    head_order order = head_order::grouped;
};

/// What the gate of a feed-forward network goes through before it multiplies the other half. The clamped one is
/// gpt-oss's: g sigmoid(1.702 g) (u + 1) with g at most 7 and u from -7 to 7.
enum class activation { silu, gelu, clamped_silu };

/// What the router's logits go through: all of them before the best are chosen, or only the chosen ones.
enum class expert_gating { softmax, sigmoid, softmax_of_chosen, sigmoid_of_chosen };

/// Whether the weights of the chosen experts are divided by their sum.
enum class expert_weighting { as_is, renormalised };

/// What an expert's weight multiplies: its result, or the hidden state that it gets.
enum class weight_target { output, input };

/// Mixture of experts; `count` 0 means a dense network.
struct expert_spec {
    std::size_t count = 0;
    std::size_t used = 0;          ///< experts that each token goes through
    std::size_t feed_forward = 0;  ///< inner width of an expert
    std::size_t shared = 0;        ///< inner width of the expert that sees every token; 0: there is none
    std::size_t groups = 1;        ///< experts are chosen from the best `groups_used` groups of neighbours
    std::size_t groups_used = 1;
    expert_gating gating = expert_gating::softmax;
    expert_weighting weighting = expert_weighting::renormalised;
    weight_target target = weight_target::output;
    double scale = 1;  ///< multiplies the weights

    /// The share of the experts that each token goes through; all of a dense network.
    [[nodiscard]] double used_share() const noexcept {
        return count == 0 ? 1.0 : static_cast<double>(used) / static_cast<double>(count);
    }
};

/// Whether models of an architecture have a part.
enum class presence { absent, optional, required };

/// Where the norms of a block stand, and what they are called.
enum class block_norms {
    before,          ///< attn_norm before attention, ffn_norm before the network
    before_as_post,  ///< the same places; the second is called post_attention_norm, as Hugging Face does
    around,  ///< attn_norm and post_attention_norm around attention, ffn_norm and post_ffw_norm around the network
};

/// The parts of every block.
struct block_spec {
    block_norms norms = block_norms::before;
    presence attention_bias = presence::optional;  ///< of queries, keys and values
    presence head_norms = presence::absent;        ///< RMS norms of each head's query and key before the rotation
    presence sinks =
        presence::absent;  ///< attention sinks: a logit per head that takes part in the softmax and has no value
    presence expert_bias = presence::absent;  ///< numbers that count when experts are chosen, not when weighted
    bool gated_attention = false;  ///< what attention yields is multiplied by sigmoid(gate); attn_q has the gates, too
    bool gated_shared = false;     ///< the shared expert's result is multiplied by sigmoid(gate . x)
    bool fused_gate = false;       ///< ffn_up holds gate and up, one after the other
    decoder::activation activation = activation::silu;
};

/// The token mixer of a layer.
enum class mixer_kind { attention, local_attention, delta_net };

/// What a layer is made of.
struct layer_spec {
    mixer_kind mixer = mixer_kind::attention;
    bool experts = false;  ///< its network is a mixture of experts
};

/// A decoder-only transformer with residual blocks: x += mixer(norm(x)); x += network(norm(x)). Biases and rope factors
/// apply where the model has such a tensor.
struct model_spec {
    std::string architecture;
    std::vector<layer_spec> layers;
    std::size_t mtp_layers = 0;  ///< for multi-token prediction, after the last one; not run
    std::size_t width = 0;       ///< numbers in a hidden state ("embedding length")
    std::size_t vocabulary = 0;  ///< tokens, rows of the embedding
    std::size_t heads = 0;
    std::size_t kv_heads = 0;      ///< each serves heads / kv_heads query heads
    std::size_t head_size = 0;     ///< numbers in a query or key of one head; latent: rank + rope dims
    std::size_t value_size = 0;    ///< numbers in a value of one head; latent: rank
    std::size_t feed_forward = 0;  ///< inner width of a dense network
    double norm_epsilon = 0;
    double embedding_scale = 1;
    double attention_scale = 1;  ///< multiplies query . key
    double attention_cap = 0;    ///< soft cap of these, cap tanh(x / cap); 0: none
    double logit_cap = 0;        ///< the same for the logits
    attention_scope global;      ///< of layers with mixer_kind::attention
    attention_scope local;       ///< of layers with mixer_kind::local_attention
    latent_spec latent;
    delta_net_spec delta_net;
    expert_spec experts;
    block_spec block;
};

}  // namespace tessera::decoder
