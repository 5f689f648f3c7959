// The architectures the decoder knows, and how metadata fill in the rest.
#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/core/metadata.hpp"
#include "tessera/model/decoder_spec.hpp"

namespace tessera::model {

/// What the name in `general.architecture` implies: nothing of this is written in a model's metadata.
struct architecture {
    std::string_view name;
    rope_pairing pairing;
    model::activation activation;
    expert_weighting weighting;
};

/// One row per architecture.
inline constexpr std::array architectures = std::to_array<architecture>({
    {.name = "llama",  // with Mistral, SmolLM2 and, by its experts, Mixtral
     .pairing = rope_pairing::adjacent,
     .activation = activation::silu,
     .weighting = expert_weighting::renormalised},
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

namespace detail {

// Reads the keys of one architecture and checks their ranges.
class spec_reader {
public:
    spec_reader(const metadata& properties, std::string_view architecture)
        : properties_(properties), prefix_(std::string(architecture) + '.') {}

    // Counts are bounded so that no product of two of them, times four bytes, can wrap.
    static constexpr std::uint64_t largest_count = std::uint64_t{1} << 24;

    [[nodiscard]] std::size_t count(std::string_view key, std::uint64_t low, std::uint64_t high = largest_count) const {
        return in_range(key, properties_.require_count(name(key)), low, high);
    }
    [[nodiscard]] std::size_t count_or(std::string_view key, std::uint64_t otherwise, std::uint64_t low,
                                       std::uint64_t high = largest_count) const {
        return in_range(key, properties_.get_count(name(key)).value_or(otherwise), low, high);
    }
    // A float above `above`.
    [[nodiscard]] double number(std::string_view key, float above) const {
        return in_range(key, properties_.require<float>(name(key)), above);
    }
    [[nodiscard]] double number_or(std::string_view key, float otherwise, float above) const {
        return in_range(key, properties_.get_or<float>(name(key), otherwise), above);
    }
    [[nodiscard]] std::string text_or(std::string_view key, std::string_view otherwise) const {
        return properties_.get_or<std::string>(name(key), std::string(otherwise));
    }
    [[nodiscard]] std::string name(std::string_view key) const { return prefix_ + std::string(key); }

private:
    [[nodiscard]] std::size_t in_range(std::string_view key, std::uint64_t value, std::uint64_t low,
                                       std::uint64_t high) const {
        if (value < low || value > high)
            fail("metadata key ", name(key), ": wanted ", low, " to ", high, ", got ", value);
        return value;
    }
    [[nodiscard]] double in_range(std::string_view key, float value, float above) const {
        if (!(value > above && std::isfinite(value)))
            fail("metadata key ", name(key), ": wanted a number above ", above, ", got ", value);
        return double{value};
    }

    const metadata& properties_;
    std::string prefix_;
};

[[nodiscard]] inline rope_spec read_rope(const spec_reader& read, const architecture& row, std::size_t head_size) {
    rope_spec rope;
    rope.pairing = row.pairing;
    rope.dims = read.count_or("rope.dimension_count", head_size, 2, head_size);
    if (rope.dims % 2 != 0)
        fail("metadata key ", read.name("rope.dimension_count"), ": wanted an even number, got ", rope.dims);
    rope.base = read.number_or("rope.freq_base", 10000.0f, 1.0f);
    rope.attention_factor = read.number_or("rope.scaling.attn_factor", 1.0f, 0.0f);
    const std::string scaling = read.text_or("rope.scaling.type", "linear");
    if (scaling == "none") return rope;
    if (scaling != "linear" && scaling != "yarn")
        fail("metadata key ", read.name("rope.scaling.type"), ": wanted none, linear or yarn, got ", scaling);
    rope.factor = read.number_or("rope.scaling.factor", 1.0f, 0.0f);
    rope.scaling = scaling == "yarn" ? rope_scaling::yarn : rope_scaling::linear;
    if (rope.scaling == rope_scaling::yarn)
        rope.original_context = static_cast<double>(
            read.count_or("rope.scaling.original_context_length", read.count("context_length", 1), 1));
    return rope;
}

[[nodiscard]] inline expert_spec read_experts(const spec_reader& read, const architecture& row) {
    expert_spec experts;
    experts.count = read.count_or("expert_count", 0, 0, 1024);
    if (experts.count == 0) return experts;
    experts.used = read.count("expert_used_count", 1, experts.count);
    experts.weighting = row.weighting;
    return experts;
}

}  // namespace detail

/// The architecture of a model, from its metadata. Throws naming the key when the architecture is unknown, a key is
/// missing or has another type, or a number is out of range. Source: GGUF's generic keys and libllama's loader.
[[nodiscard]] inline decoder_spec make_decoder_spec(const metadata& properties) {
    const architecture& row = find_architecture(properties.require<std::string>("general.architecture"));
    const detail::spec_reader read(properties, row.name);
    decoder_spec spec;
    spec.architecture = row.name;
    spec.activation = row.activation;
    spec.layers = read.count("block_count", 1, 512);
    spec.width = read.count("embedding_length", 1);
    spec.feed_forward = read.count("feed_forward_length", 1);
    spec.heads = read.count("attention.head_count", 1);
    spec.kv_heads = read.count_or("attention.head_count_kv", spec.heads, 1, spec.heads);
    if (spec.heads % spec.kv_heads != 0)
        fail("metadata key ", read.name("attention.head_count_kv"), ": wanted a divisor of the ", spec.heads,
             " heads, got ", spec.kv_heads);
    const std::size_t even_share = spec.width / spec.heads;
    spec.head_size = read.count_or("attention.key_length", even_share, 2, 1 << 16);
    spec.value_size = read.count_or("attention.value_length", even_share, 1, 1 << 16);
    spec.norm_epsilon = read.number("attention.layer_norm_rms_epsilon", 0.0f);
    spec.attention_scale = 1.0 / std::sqrt(static_cast<double>(spec.head_size));
    spec.rope = detail::read_rope(read, row, spec.head_size);
    spec.experts = detail::read_experts(read, row);

    const auto* tokens = properties.get<std::vector<std::string>>("tokenizer.ggml.tokens");
    spec.vocabulary = read.count_or("vocab_size", tokens == nullptr ? 0 : tokens->size(), 1);
    return spec;
}

}  // namespace tessera::model
