// The architectures the decoder knows: what their names imply.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "tessera/core/error.hpp"
#include "tessera/decoder/model_spec.hpp"

namespace tessera::decoder {

/// Of every `period` layers the last one has global attention; the others are as `others` says.
struct layer_pattern {
    mixer_kind others = mixer_kind::attention;
    std::size_t period = 1;  ///< where the metadata have no other
    std::size_t window = 0;  ///< of local layers, where the metadata have no other
    std::size_t chunk = 0;   ///< of local layers; they alone are rotated, then (llama4)
};

/// How the inner width of the shared expert is given.
enum class shared_width { none, one_expert, count_of_experts, own_key };

/// What an architecture implies about its experts.
struct routing_defaults {
    expert_gating gating = expert_gating::softmax;
    expert_weighting weighting = expert_weighting::renormalised;
    bool in_metadata = false;  ///< metadata may say otherwise
    weight_target target = weight_target::output;
    shared_width shared = shared_width::none;
    bool glm_flash_exception = false;  ///< models of that size have sigmoid gates where no key says so
};

/// What YaRN's factor 0.1 ln(scale) + 1 multiplies: rotated numbers, or the products of queries and keys (squared, with
/// a weight of its own, and only where there is one).
enum class yarn_target { rotations, scores };

/// What the name in `general.architecture` implies: nothing of this is written in a model's metadata.
struct architecture {
    std::string_view name;
    rope_pairing pairing = rope_pairing::halves;
    block_spec block = {};
    layer_pattern pattern = {};
    routing_defaults routing = {};
    yarn_target yarn = yarn_target::rotations;
    bool latent_attention = false;
    head_order delta_heads = head_order::grouped;
    bool always_tied = false;                   ///< stock readers refuse an output matrix
    bool scaled_embedding = false;              ///< by the square root of the width
    std::optional<float> local_rope_base = {};  ///< local layers have their own unscaled rope; where no key says more
    std::optional<float> attention_cap = {};    ///< soft cap of scores, by key or this; nothing: never
    std::optional<float> logit_cap = {};        ///< as attention_cap
    std::size_t layers_with_width_scale = 0;    ///< models of so many layers scale attention by width / heads
};

/// One row per architecture. Source: libllama's models of August 2026.
inline constexpr std::array architectures = std::to_array<architecture>({
    {.name = "llama",  // with Mistral, SmolLM2 and, by its experts, Mixtral
     .pairing = rope_pairing::adjacent},
    {.name = "llama4",
     .pairing = rope_pairing::adjacent,
     .pattern = {.others = mixer_kind::local_attention, .period = 4, .chunk = 8192},
     .routing = {.gating = expert_gating::sigmoid_of_chosen,
                 .weighting = expert_weighting::as_is,
                 .target = weight_target::input,
                 .shared = shared_width::one_expert}},
    {.name = "qwen2"},
    {.name = "qwen2moe",
     .block = {.attention_bias = presence::required, .gated_shared = true},
     .routing = {.weighting = expert_weighting::as_is, .shared = shared_width::own_key}},
    {.name = "qwen3", .block = {.head_norms = presence::required}},
    {.name = "qwen3moe", .block = {.head_norms = presence::required}},
    {.name = "qwen3next",
     .block = {.norms = block_norms::before_as_post,
               .head_norms = presence::required,
               .gated_attention = true,
               .gated_shared = true},
     .pattern = {.others = mixer_kind::delta_net, .period = 4},
     .routing = {.shared = shared_width::own_key}},
    {.name = "qwen35",
     .block = {.norms = block_norms::before_as_post, .head_norms = presence::required, .gated_attention = true},
     .pattern = {.others = mixer_kind::delta_net, .period = 4},
     .delta_heads = head_order::tiled},
    {.name = "qwen35moe",
     .block = {.norms = block_norms::before_as_post,
               .head_norms = presence::required,
               .gated_attention = true,
               .gated_shared = true},
     .pattern = {.others = mixer_kind::delta_net, .period = 4},
     .routing = {.shared = shared_width::own_key},
     .delta_heads = head_order::tiled},
    {.name = "gemma2",
     .block = {.norms = block_norms::around, .activation = activation::gelu},
     .pattern = {.others = mixer_kind::local_attention, .period = 2, .window = 4096},
     .always_tied = true,
     .scaled_embedding = true,
     .attention_cap = 50.0f,
     .logit_cap = 30.0f,
     .layers_with_width_scale = 46},
    {.name = "gemma3",
     .block = {.norms = block_norms::around, .head_norms = presence::required, .activation = activation::gelu},
     .pattern = {.others = mixer_kind::local_attention, .period = 6},
     .scaled_embedding = true,
     .local_rope_base = 10000.0f,
     .logit_cap = 0.0f,
     .layers_with_width_scale = 62},
    {.name = "phi3", .block = {.fused_gate = true}},
    {.name = "gpt-oss",
     .block = {.norms = block_norms::before_as_post,
               .attention_bias = presence::required,
               .sinks = presence::required,
               .activation = activation::clamped_silu},
     .pattern = {.others = mixer_kind::local_attention, .period = 2, .window = 128},
     .routing = {.gating = expert_gating::softmax_of_chosen, .weighting = expert_weighting::as_is}},
    {.name = "glm4moe",
     .block = {.norms = block_norms::before_as_post,
               .head_norms = presence::optional,
               .expert_bias = presence::required},
     .routing = {.gating = expert_gating::sigmoid,
                 .weighting = expert_weighting::as_is,
                 .in_metadata = true,
                 .shared = shared_width::count_of_experts}},
    {.name = "deepseek2",  // DeepSeek V2, V3 and R1, Kimi K2, GLM 4.7 Flash
     .pairing = rope_pairing::adjacent,
     .block = {.expert_bias = presence::optional},
     .routing = {.weighting = expert_weighting::as_is,
                 .in_metadata = true,
                 .shared = shared_width::count_of_experts,
                 .glm_flash_exception = true},
     .yarn = yarn_target::scores,
     .latent_attention = true},
});

/// The row of a name. Throws, listing the known names, when there is none.
[[nodiscard]] inline const architecture& find_architecture(std::string_view name) {
    std::string known;
    for (const architecture& row : architectures) {
        if (row.name == name) return row;
        known += (known.empty() ? "" : ", ") + std::string(row.name);
    }
    fail("metadata key general.architecture: wanted an architecture this decoder knows (", known, "), got ", name);
}

}  // namespace tessera::decoder
