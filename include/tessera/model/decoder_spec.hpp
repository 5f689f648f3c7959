// An architecture as a value: everything the decoder must know besides the weights.
#pragma once

#include <cstddef>
#include <string>

namespace tessera::model {

/// Which two numbers of a head a rotation turns: neighbours (2i, 2i+1), or (i, i + dims/2). ("NORM" and "NEOX" in ggml)
enum class rope_pairing { adjacent, halves };

/// How positions beyond the trained context are squeezed.
enum class rope_scaling { none, linear, yarn };

/// Rotary position embedding. Angle i at position p is p * base^(-2i/dims), divided by the model's factor i if it has
/// factors, then scaled.
struct rope_spec {
    rope_pairing pairing = rope_pairing::adjacent;
    std::size_t dims = 0;  ///< numbers of a head that are turned, from the first on; the rest stays
    double base = 10000;
    rope_scaling scaling = rope_scaling::none;
    double factor = 1;            ///< linear and yarn: positions are squeezed by this
    double original_context = 0;  ///< yarn: positions the model was trained for before it was stretched
    double attention_factor = 1;  ///< multiplies every rotated number
};

/// What the gate of a feed-forward network goes through before it multiplies the other half.
enum class activation { silu, gelu };

/// How the weights of the chosen experts follow from the softmax over all of them.
enum class expert_weighting { as_is, renormalised };

/// Mixture of experts; `count` 0 means a dense network.
struct expert_spec {
    std::size_t count = 0;
    std::size_t used = 0;  ///< experts that each token goes through
    expert_weighting weighting = expert_weighting::renormalised;
    double scale = 1;  ///< multiplies the weights
};

/// A decoder-only transformer with pre-norm residual blocks: x += attention(norm(x)); x += feed_forward(norm(x)).
/// Biases and rope factors are not here: they apply where the model has such a tensor.
struct decoder_spec {
    std::string architecture;
    std::size_t layers = 0;
    std::size_t width = 0;       ///< numbers in a hidden state ("embedding length")
    std::size_t vocabulary = 0;  ///< tokens, rows of the embedding
    std::size_t heads = 0;
    std::size_t kv_heads = 0;      ///< each serves heads / kv_heads query heads
    std::size_t head_size = 0;     ///< numbers in a query or key of one head
    std::size_t value_size = 0;    ///< numbers in a value of one head
    std::size_t feed_forward = 0;  ///< inner width of the feed-forward network, of each expert if there are experts
    double norm_epsilon = 0;
    double attention_scale = 1;  ///< multiplies query . key
    rope_spec rope;
    model::activation activation = activation::silu;
    expert_spec experts;
};

}  // namespace tessera::model
