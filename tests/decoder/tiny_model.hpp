// Small random models in memory, and a plain forward pass in double that shares no code with the library's.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <map>
#include <numbers>
#include <numeric>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "decoder/plain_math.hpp"
#include "tessera/tensor/memory.hpp"

namespace support {

/// What a tiny model is made of; the defaults are a llama with grouped queries.
struct tiny_shape {
    std::size_t layers = 2, width = 24, heads = 4, kv_heads = 2, head_size = 10, feed_forward = 36, vocabulary = 50;
    std::size_t experts = 0, experts_used = 0;
    bool biases = false, tied = false, fused_qkv = false, rope_factors = false;
    std::string rope_scaling = {};  // "linear", "yarn", or the key is absent
    float rope_factor = 1.0f;
    std::uint32_t rope_original_context = 0;
    float rope_base = 10000.0f;
    std::uint32_t seed = 1;
};

/// A random model of this shape.
inline tessera::memory_source make_tiny_model(const tiny_shape& s) {
    tessera::memory_source source;
    auto& keys = source.metadata();
    const auto count = [&](const char* key, std::size_t n) {
        keys.set(std::string("llama.") + key, static_cast<std::uint32_t>(n));
    };
    keys.set("general.architecture", std::string("llama"));
    count("context_length", 64);
    count("block_count", s.layers);
    count("embedding_length", s.width);
    count("feed_forward_length", s.feed_forward);
    count("attention.head_count", s.heads);
    count("attention.head_count_kv", s.kv_heads);
    count("attention.key_length", s.head_size);
    count("attention.value_length", s.head_size);
    count("vocab_size", s.vocabulary);
    keys.set("llama.attention.layer_norm_rms_epsilon", 1e-5f);
    keys.set("llama.rope.freq_base", s.rope_base);
    if (!s.rope_scaling.empty()) {
        keys.set("llama.rope.scaling.type", s.rope_scaling);
        keys.set("llama.rope.scaling.factor", s.rope_factor);
    }
    if (s.rope_original_context != 0) count("rope.scaling.original_context_length", s.rope_original_context);
    if (s.experts != 0) {
        count("expert_count", s.experts);
        count("expert_used_count", s.experts_used);
    }

    std::mt19937 random(s.seed);
    std::normal_distribution<float> normal;
    const auto add = [&](const std::string& name, std::initializer_list<std::uint64_t> dims, float mean,
                         float deviation) {
        std::vector<float> values(std::accumulate(dims.begin(), dims.end(), std::uint64_t{1}, std::multiplies<>()));
        for (float& x : values) x = mean + deviation * normal(random);
        source.add(name, dims, std::move(values));
    };
    const auto vector = [&](const std::string& name, std::uint64_t size, float mean) { add(name, {size}, mean, 0.2f); };
    const auto matrix = [&](const std::string& name, std::uint64_t inputs, std::uint64_t outputs) {
        add(name + ".weight", {inputs, outputs}, 0.0f, 1.3f / std::sqrt(static_cast<float>(inputs)));
        if (s.biases) vector(name + ".bias", outputs, 0.0f);
    };
    add("token_embd.weight", {s.width, s.vocabulary}, 0.0f, 1.0f);
    if (s.rope_factors) vector("rope_freqs.weight", s.head_size / 2, 2.0f);
    for (std::size_t l = 0; l < s.layers; ++l) {
        const std::string block = "blk." + std::to_string(l) + '.';
        vector(block + "attn_norm.weight", s.width, 1.0f);
        const std::uint64_t queries = s.heads * s.head_size, keys_and_values = s.kv_heads * s.head_size;
        if (s.fused_qkv) {
            matrix(block + "attn_qkv", s.width, queries + 2 * keys_and_values);
        } else {
            matrix(block + "attn_q", s.width, queries);
            matrix(block + "attn_k", s.width, keys_and_values);
            matrix(block + "attn_v", s.width, keys_and_values);
        }
        matrix(block + "attn_output", queries, s.width);
        vector(block + "ffn_norm.weight", s.width, 1.0f);
        if (s.experts == 0) {
            matrix(block + "ffn_gate", s.width, s.feed_forward);
            matrix(block + "ffn_up", s.width, s.feed_forward);
            matrix(block + "ffn_down", s.feed_forward, s.width);
        } else {
            const float deviation = 1.3f / std::sqrt(static_cast<float>(s.width));
            add(block + "ffn_gate_inp.weight", {s.width, s.experts}, 0.0f, 0.5f);
            add(block + "ffn_gate_exps.weight", {s.width, s.feed_forward, s.experts}, 0.0f, deviation);
            add(block + "ffn_up_exps.weight", {s.width, s.feed_forward, s.experts}, 0.0f, deviation);
            add(block + "ffn_down_exps.weight", {s.feed_forward, s.width, s.experts}, 0.0f, deviation);
        }
    }
    vector("output_norm.weight", s.width, 1.0f);
    if (!s.tied) add("output.weight", {s.width, s.vocabulary}, 0.0f, 0.3f);
    return source;
}

/// Random token ids.
inline std::vector<std::int32_t> random_tokens(std::size_t count, std::size_t vocabulary, std::uint32_t seed = 7) {
    std::mt19937 random(seed);
    std::vector<std::int32_t> tokens(count);
    for (auto& t : tokens) t = static_cast<std::int32_t>(random() % vocabulary);
    return tokens;
}

/// The oracle: one window, token by token, all in double, straight from the definitions.
class plain_decoder {
public:
    enum class pairs { adjacent, halves };
    enum class gate { silu, gelu };
    struct variant {
        pairs rope = pairs::adjacent;
        gate activation = gate::silu;
        std::size_t rope_dims = 0;  // 0: the whole head
    };

    plain_decoder(const tessera::memory_source& source, const tiny_shape& shape, variant v)
        : source_(source), s_(shape), variant_(v) {}
    plain_decoder(const tessera::memory_source& source, const tiny_shape& shape)
        : plain_decoder(source, shape, variant{}) {}

    std::vector<std::vector<double>> logits(std::span<const std::int32_t> tokens) {
        std::vector<std::vector<numbers>> keys(s_.layers), values(s_.layers);
        std::vector<numbers> all;
        for (std::size_t position = 0; position < tokens.size(); ++position) {
            numbers x = row("token_embd.weight", static_cast<std::size_t>(tokens[position]));
            for (std::size_t l = 0; l < s_.layers; ++l) {
                const std::string block = "blk." + std::to_string(l) + '.';
                x = sum(x, attention(block, norm(block + "attn_norm", x), position, keys[l], values[l]));
                x = sum(x, feed_forward(block, norm(block + "ffn_norm", x)));
            }
            all.push_back(product(s_.tied ? "token_embd" : "output", norm("output_norm", x)));
        }
        return all;
    }

private:
    const numbers& tensor(const std::string& name) {
        numbers& values = cache_[name];
        if (values.empty())
            if (const tessera::tensor_info* info = source_.find(name)) {
                std::vector<float> floats(info->weights());
                source_.read(*info, 0, info->rows(), floats);
                values.assign(floats.begin(), floats.end());
            }
        return values;
    }
    numbers row(const std::string& name, std::size_t r) { return part(tensor(name), r * s_.width, s_.width); }
    numbers norm(const std::string& name, const numbers& x) {
        const numbers& weight = tensor(name + ".weight");
        numbers y = unit(x, 1e-5);
        for (std::size_t i = 0; i < y.size(); ++i) y[i] *= weight[i];
        return y;
    }
    // Expert e of a stack with `outputs` rows each, or a plain matrix.
    numbers product(const std::string& name, const numbers& x, std::size_t outputs = 0, std::size_t e = 0) {
        const numbers& weights = tensor(name + ".weight");
        const numbers& bias = tensor(name + ".bias");
        if (outputs == 0) outputs = weights.size() / x.size();
        numbers y(outputs);
        for (std::size_t r = 0; r < outputs; ++r) {
            for (std::size_t i = 0; i < x.size(); ++i) y[r] += weights[(e * outputs + r) * x.size() + i] * x[i];
            if (!bias.empty()) y[r] += bias[r];
        }
        return y;
    }
    numbers attention(const std::string& block, const numbers& x, std::size_t position, std::vector<numbers>& all_keys,
                      std::vector<numbers>& all_values) {
        const std::size_t size = s_.head_size;
        numbers q, k, v;
        if (s_.fused_qkv) {
            const numbers qkv = product(block + "attn_qkv", x);
            q = part(qkv, 0, s_.heads * size);
            k = part(qkv, s_.heads * size, s_.kv_heads * size);
            v = part(qkv, (s_.heads + s_.kv_heads) * size, s_.kv_heads * size);
        } else {
            q = product(block + "attn_q", x);
            k = product(block + "attn_k", x);
            v = product(block + "attn_v", x);
        }
        for (std::size_t h = 0; h < s_.heads; ++h) rotate(q, h * size, position);
        for (std::size_t h = 0; h < s_.kv_heads; ++h) rotate(k, h * size, position);
        all_keys.push_back(k);
        all_values.push_back(v);
        numbers out(s_.heads * size);
        for (std::size_t h = 0; h < s_.heads; ++h) {
            const std::size_t shared = h / (s_.heads / s_.kv_heads) * size;
            numbers scores(position + 1);
            for (std::size_t p = 0; p <= position; ++p)
                for (std::size_t i = 0; i < size; ++i)
                    scores[p] += q[h * size + i] * all_keys[p][shared + i] / std::sqrt(static_cast<double>(size));
            const numbers weights = softmax(scores);
            for (std::size_t p = 0; p <= position; ++p)
                for (std::size_t i = 0; i < size; ++i) out[h * size + i] += weights[p] * all_values[p][shared + i];
        }
        return product(block + "attn_output", out);
    }

    void rotate(numbers& heads, std::size_t head, std::size_t position) {
        const std::size_t dims = variant_.rope_dims == 0 ? s_.head_size : variant_.rope_dims;
        const auto n = static_cast<double>(dims);
        const double base = double{s_.rope_base}, factor = double{s_.rope_factor};
        const numbers& factors = tensor("rope_freqs.weight");
        for (std::size_t i = 0; i < dims / 2; ++i) {
            const double exponent = -2.0 * static_cast<double>(i) / n;
            double angle = static_cast<double>(position) * std::pow(base, exponent);
            if (!factors.empty()) angle /= factors[i];
            double magnitude = 1;
            if (s_.rope_scaling == "linear") angle /= factor;
            if (s_.rope_scaling == "yarn") {
                const auto corner = [&](double beta) {
                    return n * std::log(s_.rope_original_context / (beta * 2 * std::numbers::pi)) /
                           (2 * std::log(base));
                };
                const double low = std::max(0.0, std::floor(corner(32))), high = std::min(n - 1, std::ceil(corner(1)));
                const double kept =
                    1 - std::clamp((static_cast<double>(i) - low) / std::max(0.001, high - low), 0.0, 1.0);
                angle = angle / factor * (1 - kept) + angle * kept;
                magnitude = 0.1 * std::log(factor) + 1;
            }
            const bool adjacent = variant_.rope == pairs::adjacent;
            double& a = heads[head + (adjacent ? 2 * i : i)];
            double& b = heads[head + (adjacent ? 2 * i + 1 : i + dims / 2)];
            const double c = std::cos(angle) * magnitude, s = std::sin(angle) * magnitude;
            const double turned = a * c - b * s;
            b = a * s + b * c;
            a = turned;
        }
    }

    numbers feed_forward(const std::string& block, const numbers& x) {
        if (s_.experts == 0) {
            const numbers inner = gated(product(block + "ffn_gate", x), product(block + "ffn_up", x));
            return product(block + "ffn_down", inner);
        }
        const numbers probabilities = softmax(product(block + "ffn_gate_inp", x));
        const std::vector<std::size_t> order = best(probabilities, s_.experts_used);
        double total = 0;
        for (const std::size_t e : order) total += probabilities[e];
        numbers out(s_.width);
        for (const std::size_t e : order) {
            const numbers inner = gated(product(block + "ffn_gate_exps", x, s_.feed_forward, e),
                                        product(block + "ffn_up_exps", x, s_.feed_forward, e));
            const numbers y = product(block + "ffn_down_exps", inner, s_.width, e);
            for (std::size_t i = 0; i < out.size(); ++i) out[i] += probabilities[e] / total * y[i];
        }
        return out;
    }

    numbers gated(numbers gate_values, const numbers& up) const {
        for (std::size_t i = 0; i < gate_values.size(); ++i) {
            const double x = gate_values[i];
            gate_values[i] = (variant_.activation == gate::silu ? silu(x) : gelu(x)) * up[i];
        }
        return gate_values;
    }

    const tessera::memory_source& source_;
    tiny_shape s_;
    variant variant_;
    std::map<std::string, numbers> cache_;
};

}  // namespace support
