// A plain forward pass over the tensors of a Hugging Face directory: as transformers defines it, token by token and in
// double, with nothing converted and none of the library's arithmetic.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "decoder/plain_math.hpp"
#include "huggingface/directory.hpp"
#include "huggingface/rotation.hpp"
#include "huggingface/tensors.hpp"

namespace support {

/// What a class of transformers does though its config.json does not say so. Which parts a layer has is seen from its
/// tensors.
struct class_facts {
    enum class gate { silu, gelu, clamped };
    enum class routing { softmax, sigmoid, softmax_of_best, sigmoid_of_best };
    /// Of experts that are one tensor: (2 x size, width) or (width, 2 x size), gates first or taking turns with ups.
    enum class expert_layout { rows, alternating_rows, columns, alternating_columns };

    double norm_offset = 0;  ///< norms multiply by it + weight
    double embedding_scale = 1;
    plain_rotation::pairs pairs = plain_rotation::pairs::halves;
    plain_rotation::context context = plain_rotation::context::within_original;
    std::size_t period = 1;      ///< of so many layers, the last sees everything; the others a window
    double local_rope_base = 0;  ///< of the others, unscaled; 0: as the last
    std::size_t chunk = 0;       ///< the others see a chunk instead of a window, and they alone are turned (Llama 4)
    gate activation = gate::silu;
    routing router = routing::softmax;
    bool renormalised = false;  ///< weights of experts, where config.json does not say
    expert_layout experts = expert_layout::rows;

    friend bool operator==(const class_facts&, const class_facts&) = default;
};

class plain_forward : public plain_tensors {
public:
    plain_forward(const model_directory& directory, const class_facts& facts)
        : plain_tensors(directory),
          facts_(facts),
          width_(count("hidden_size")),
          heads_(count("num_attention_heads")),
          key_heads_(count("num_key_value_heads")),
          epsilon_(number("rms_norm_eps", 1e-6)),
          global_(rotated_size(), config(), facts.context),
          local_(facts.local_rope_base == 0 ? global_ : plain_rotation(rotated_size(), facts.local_rope_base)) {}

    /// Of every token of one window.
    std::vector<numbers> logits(std::span<const std::int32_t> tokens) {
        std::vector<layer_memory> memory(count("num_hidden_layers"));
        std::vector<numbers> all;
        for (std::size_t position = 0; position < tokens.size(); ++position) {
            const auto token = static_cast<std::size_t>(tokens[position]);
            numbers x =
                scaled(part(tensor("model.embed_tokens.weight"), token * width_, width_), facts_.embedding_scale);
            for (std::size_t l = 0; l < memory.size(); ++l) x = layer(l, x, position, memory[l]);
            const bool tied = !has("lm_head.weight");
            x = linear(tied ? "model.embed_tokens" : "lm_head", norm("model.norm", x));
            all.push_back(capped(x, number("final_logit_softcapping", 0)));
        }
        return all;
    }

private:
    // Of the tokens before.
    struct layer_memory {
        std::vector<numbers> keys, values;  // per token, all heads
        std::vector<numbers> channels;      // per token, before the convolution
        std::vector<numbers> states;        // per value head, keys x values
    };

    std::size_t head_size() const { return config().contains("head_dim") ? count("head_dim") : width_ / heads_; }
    std::size_t sliding_window() const {
        return static_cast<std::size_t>(number("sliding_window", number("max_position_embeddings", 0)));
    }
    std::size_t rotated_size() const {
        if (config().contains("qk_rope_head_dim")) return count("qk_rope_head_dim");
        double share = number("partial_rotary_factor", 1);
        if (config().contains("rope_parameters"))
            share = number_or(config()["rope_parameters"], "partial_rotary_factor", share);
        return static_cast<std::size_t>(static_cast<double>(head_size()) * share);
    }

    numbers norm(const std::string& name, const numbers& x) { return plain_tensors::norm(name, x, facts_.norm_offset); }
    // f(head) for each of the heads that lie in x.
    template <class Function>
    static numbers each_head(const numbers& x, std::size_t size, Function&& f) {
        numbers y;
        for (std::size_t first = 0; first < x.size(); first += size) append(y, f(part(x, first, size)));
        return y;
    }
    static numbers capped(numbers x, double cap) {
        if (cap != 0)
            for (double& v : x) v = cap * std::tanh(v / cap);
        return x;
    }

    numbers layer(std::size_t l, const numbers& x, std::size_t position, layer_memory& memory) {
        const std::string at = "model.layers." + std::to_string(l) + '.';
        const bool around = has(at + "pre_feedforward_layernorm.weight");
        numbers mixed = mix(at, l, norm(at + "input_layernorm", x), position, memory);
        if (around) mixed = norm(at + "post_attention_layernorm", mixed);
        const numbers y = sum(x, mixed);
        numbers z = network(at, norm(at + (around ? "pre_feedforward_layernorm" : "post_attention_layernorm"), y));
        if (around) z = norm(at + "post_feedforward_layernorm", z);
        return sum(y, z);
    }
    numbers mix(const std::string& at, std::size_t l, const numbers& x, std::size_t position, layer_memory& memory) {
        if (has(at + "linear_attn.A_log")) return delta_net(at + "linear_attn.", x, memory);
        if (has(at + "self_attn.kv_b_proj.weight")) return latent_attention(at + "self_attn.", x, position, memory);
        return attention(at + "self_attn.", (l + 1) % facts_.period != 0, x, position, memory);
    }

    // --- attention

    numbers attention(const std::string& at, bool is_local, const numbers& x, std::size_t position,
                      layer_memory& memory) {
        const std::size_t size = head_size(), all_heads = heads_ * size, all_keys = key_heads_ * size;
        numbers q, k, v, gates;
        if (has(at + "qkv_proj.weight")) {
            const numbers fused = linear(at + "qkv_proj", x);
            q = part(fused, 0, all_heads);
            k = part(fused, all_heads, all_keys);
            v = part(fused, all_heads + all_keys, all_keys);
        } else {
            q = linear(at + "q_proj", x);
            k = linear(at + "k_proj", x);
            v = linear(at + "v_proj", x);
        }
        if (q.size() == 2 * all_heads) {  // of every head, the query, then the gate
            gates = each_head(q, 2 * size, [&](const numbers& head) { return part(head, size, size); });
            q = each_head(q, 2 * size, [&](const numbers& head) { return part(head, 0, size); });
        }
        if (has(at + "q_norm.weight")) {
            q = each_head(q, size, [&](const numbers& head) { return norm(at + "q_norm", head); });
            k = each_head(k, size, [&](const numbers& head) { return norm(at + "k_norm", head); });
        }
        const plain_rotation& rotation = is_local ? local_ : global_;
        if (is_local || facts_.chunk == 0)
            for (numbers* heads : {&q, &k})
                for (std::size_t first = 0; first < heads->size(); first += size)
                    rotation.turn(*heads, first, position, facts_.pairs);
        if (facts_.chunk != 0 && is_local) {
            q = each_head(q, size, [&](const numbers& head) { return unit(head, epsilon_); });
            k = each_head(k, size, [&](const numbers& head) { return unit(head, epsilon_); });
        } else if (facts_.chunk != 0) {
            const std::size_t chunks = (position + 1) / facts_.chunk;
            q = scaled(q, 1 + 0.1 * std::log1p(static_cast<double>(chunks)));
        }
        memory.keys.push_back(k);
        memory.values.push_back(v);
        std::size_t first = 0;
        if (is_local && facts_.chunk != 0) first = position - position % facts_.chunk;
        if (is_local && facts_.chunk == 0) first = position + 1 - std::min(position + 1, sliding_window());
        numbers y =
            attend(at, q, key_heads_, first, 1 / std::sqrt(number("query_pre_attn_scalar", double(size))), memory);
        for (std::size_t i = 0; i < gates.size(); ++i) y[i] *= sigmoid(gates[i]);
        return linear(at + "o_proj", y);
    }

    // Keys and values are expanded from the compressed state, for every head.
    numbers latent_attention(const std::string& at, const numbers& x, std::size_t position, layer_memory& memory) {
        const std::size_t plain = count("qk_nope_head_dim"), turned = count("qk_rope_head_dim");
        const std::size_t rank = count("kv_lora_rank"), value = count("v_head_dim"), size = plain + turned;
        numbers q = has(at + "q_proj.weight")
                        ? linear(at + "q_proj", x)
                        : linear(at + "q_b_proj", norm(at + "q_a_layernorm", linear(at + "q_a_proj", x)));
        for (std::size_t h = 0; h < heads_; ++h) global_.turn(q, h * size + plain, position, facts_.pairs);
        numbers state = linear(at + "kv_a_proj_with_mqa", x);
        global_.turn(state, rank, position, facts_.pairs);
        const numbers both = linear(at + "kv_b_proj", norm(at + "kv_a_layernorm", part(state, 0, rank)));
        numbers k, v;
        for (std::size_t h = 0; h < heads_; ++h) {
            append(k, part(both, h * (plain + value), plain));
            append(k, part(state, rank, turned));
            append(v, part(both, h * (plain + value) + plain, value));
        }
        memory.keys.push_back(k);
        memory.values.push_back(v);
        const nlohmann::json scaling = config().value("rope_scaling", nlohmann::json::object());
        const double growth =
            1 + 0.1 * number_or(scaling, "mscale_all_dim", 0) * std::log(number_or(scaling, "factor", 1));
        return linear(at + "o_proj", attend(at, q, heads_, 0, growth * growth / std::sqrt(double(size)), memory));
    }

    // What all query heads take from the values of the tokens from `first` on.
    numbers attend(const std::string& at, const numbers& q, std::size_t key_heads, std::size_t first, double scale,
                   const layer_memory& memory) {
        const std::size_t size = q.size() / heads_, value = memory.values[0].size() / key_heads;
        numbers y;
        for (std::size_t h = 0; h < heads_; ++h) {
            const std::size_t shared = h / (heads_ / key_heads);
            numbers scores;
            for (std::size_t p = first; p < memory.keys.size(); ++p) {
                double score = 0;
                for (std::size_t i = 0; i < size; ++i) score += q[h * size + i] * memory.keys[p][shared * size + i];
                scores.push_back(score * scale);
            }
            scores = capped(scores, number("attn_logit_softcapping", 0));
            if (has(at + "sinks")) scores.push_back(tensor(at + "sinks")[h]);
            scores = softmax(scores);
            numbers taken(value);
            for (std::size_t p = first; p < memory.keys.size(); ++p)
                taken = sum(taken, scaled(part(memory.values[p], shared * value, value), scores[p - first]));
            append(y, taken);
        }
        return y;
    }

    // --- linear attention

    numbers delta_net(const std::string& at, const numbers& x, layer_memory& memory) {
        const std::size_t keys = count("linear_num_key_heads"), values = count("linear_num_value_heads");
        const std::size_t size = count("linear_key_head_dim"), kernel = count("linear_conv_kernel_dim");
        const std::size_t per_key = values / keys;
        numbers channels, gates, rates, decays;
        if (has(at + "in_proj_qkvz.weight")) {  // of every key head: query, key, its values, their gates
            const numbers all = linear(at + "in_proj_qkvz", x), controls = linear(at + "in_proj_ba", x);
            const std::size_t of_key = (2 + 2 * per_key) * size;
            const auto gather = [&](numbers& to, std::size_t first, std::size_t rows) {
                append(to, each_head(all, of_key, [&](const numbers& one) { return part(one, first, rows); }));
            };
            gather(channels, 0, size);
            gather(channels, size, size);
            gather(channels, 2 * size, per_key * size);
            gather(gates, (2 + per_key) * size, per_key * size);
            rates = each_head(controls, 2 * per_key, [&](const numbers& one) { return part(one, 0, per_key); });
            decays = each_head(controls, 2 * per_key, [&](const numbers& one) { return part(one, per_key, per_key); });
        } else {
            channels = linear(at + "in_proj_qkv", x);
            gates = linear(at + "in_proj_z", x);
            rates = linear(at + "in_proj_b", x);
            decays = linear(at + "in_proj_a", x);
        }
        memory.channels.push_back(channels);
        const numbers& weights = tensor(at + "conv1d.weight");
        for (std::size_t c = 0; c < channels.size(); ++c) {
            double y = 0;
            for (std::size_t back = 0; back < std::min(kernel, memory.channels.size()); ++back)
                y += weights[(c + 1) * kernel - 1 - back] * memory.channels[memory.channels.size() - 1 - back][c];
            channels[c] = silu(y);
        }
        memory.states.resize(values, numbers(size * size));
        numbers y;
        for (std::size_t h = 0; h < values; ++h) {
            const std::size_t key_head = h / per_key;
            const numbers q = scaled(of_length_one(part(channels, key_head * size, size)), 1 / std::sqrt(double(size)));
            const numbers k = of_length_one(part(channels, (keys + key_head) * size, size));
            const numbers v = part(channels, (2 * keys + h) * size, size);
            const double softplus = std::log1p(std::exp(decays[h] + tensor(at + "dt_bias")[h]));
            numbers& state = memory.states[h];
            state = scaled(state, std::exp(-std::exp(tensor(at + "A_log")[h]) * softplus));
            numbers out(size);
            for (std::size_t j = 0; j < size; ++j) {
                double recalled = 0;
                for (std::size_t i = 0; i < size; ++i) recalled += state[i * size + j] * k[i];
                const double correction = sigmoid(rates[h]) * (v[j] - recalled);
                for (std::size_t i = 0; i < size; ++i) {
                    state[i * size + j] += k[i] * correction;
                    out[j] += state[i * size + j] * q[i];
                }
            }
            out = plain_tensors::norm(at + "norm", out, 0);
            for (std::size_t j = 0; j < size; ++j) out[j] *= silu(gates[h * size + j]);
            append(y, out);
        }
        return linear(at + "out_proj", y);
    }
    static numbers of_length_one(const numbers& x) {
        double squares = 1e-6;
        for (const double v : x) squares += v * v;
        return scaled(x, 1 / std::sqrt(squares));
    }

    // --- networks

    numbers network(const std::string& layer, const numbers& x) {
        for (const char* name : {"mlp.", "feed_forward.", "block_sparse_moe."}) {
            const std::string at = layer + name;
            for (const char* router : {"gate", "router"})
                if (has(at + router + ".weight")) return mixture(at, router, x);
            if (has(at + "down_proj.weight")) return dense(at, x);
        }
        FAIL("no network in " << layer);
        return {};
    }
    numbers dense(const std::string& at, const numbers& x) {
        if (!has(at + "gate_up_proj.weight"))
            return linear(at + "down_proj", gated(linear(at + "gate_proj", x), linear(at + "up_proj", x)));
        const numbers both = linear(at + "gate_up_proj", x);
        const std::size_t size = both.size() / 2;
        return linear(at + "down_proj", gated(part(both, 0, size), part(both, size, size)));
    }
    numbers gated(numbers g, const numbers& up) const {
        for (std::size_t i = 0; i < g.size(); ++i) switch (facts_.activation) {
                case class_facts::gate::silu: g[i] = silu(g[i]) * up[i]; break;
                case class_facts::gate::gelu: g[i] = gelu(g[i]) * up[i]; break;
                case class_facts::gate::clamped:
                    g[i] = std::min(g[i], 7.0);
                    g[i] *= sigmoid(1.702 * g[i]) * (std::clamp(up[i], -7.0, 7.0) + 1);
            }
        return g;
    }

    numbers mixture(const std::string& at, const std::string& router, const numbers& x) {
        using routing = class_facts::routing;
        numbers weights = linear(at + router, x);
        if (facts_.router == routing::softmax) weights = softmax(weights);
        if (facts_.router == routing::sigmoid)
            for (double& w : weights) w = sigmoid(w);
        numbers scores = weights;
        if (has(at + "gate.e_score_correction_bias")) scores = sum(scores, tensor(at + "gate.e_score_correction_bias"));
        const std::vector<std::size_t> chosen = best(only_best_groups(scores), count("num_experts_per_tok"));

        numbers shares;
        for (const std::size_t e : chosen) shares.push_back(weights[e]);
        if (facts_.router == routing::softmax_of_best) shares = softmax(shares);
        if (facts_.router == routing::sigmoid_of_best)
            for (double& share : shares) share = sigmoid(share);
        const bool renormalised = config().value("norm_topk_prob", facts_.renormalised);
        double total = 0;
        for (const double share : shares) total += share;
        shares = scaled(shares, number("routed_scaling_factor", 1) / (renormalised ? total : 1));

        numbers y(x.size());
        for (std::size_t i = 0; i < chosen.size(); ++i)
            y = facts_.router == routing::sigmoid_of_best  // Llama 4 weights what goes in
                    ? sum(y, expert(at + "experts.", chosen[i], scaled(x, shares[i])))
                    : sum(y, scaled(expert(at + "experts.", chosen[i], x), shares[i]));
        for (const char* name : {"shared_expert.", "shared_experts."})
            if (has(at + name + "down_proj.weight")) {
                const double share =
                    has(at + "shared_expert_gate.weight") ? sigmoid(linear(at + "shared_expert_gate", x)[0]) : 1;
                y = sum(y, scaled(dense(at + name, x), share));
            }
        return y;
    }
    // Experts of groups whose two best are not among the best cannot be chosen.
    numbers only_best_groups(numbers scores) const {
        const auto groups = static_cast<std::size_t>(number("n_group", 1));
        if (groups == 1) return scores;
        const std::size_t size = scores.size() / groups;
        numbers sums;
        for (std::size_t g = 0; g < groups; ++g) {
            const numbers members = part(scores, g * size, size);
            const auto two = best(members, 2);
            sums.push_back(members[two[0]] + members[two[1]]);
        }
        const auto kept = best(sums, count("topk_group"));
        for (std::size_t e = 0; e < scores.size(); ++e)
            if (std::find(kept.begin(), kept.end(), e / size) == kept.end()) scores[e] = -INFINITY;
        return scores;
    }

    numbers expert(const std::string& at, std::size_t e, const numbers& x) {
        using layout = class_facts::expert_layout;
        const std::string one = at + std::to_string(e) + '.';
        if (has(one + "w1.weight")) return linear(one + "w2", gated(linear(one + "w1", x), linear(one + "w3", x)));
        if (has(one + "down_proj.weight")) return dense(one, x);
        const numbers both = of_stack(at + "gate_up_proj", e, x);
        const std::size_t size = both.size() / 2;
        const bool alternates =
            facts_.experts == layout::alternating_rows || facts_.experts == layout::alternating_columns;
        numbers gate, up;
        for (std::size_t i = 0; i < size; ++i) {
            gate.push_back(both[alternates ? 2 * i : i]);
            up.push_back(both[alternates ? 2 * i + 1 : size + i]);
        }
        return of_stack(at + "down_proj", e, gated(gate, up));
    }
    // x times matrix e of a stack.
    numbers of_stack(const std::string& name, std::size_t e, const numbers& x) {
        using layout = class_facts::expert_layout;
        const bool is_right = facts_.experts == layout::columns || facts_.experts == layout::alternating_columns;
        const numbers& weights = tensor(name);
        const std::size_t experts = matrices(name);
        numbers y(weights.size() / experts / x.size());
        for (std::size_t r = 0; r < y.size(); ++r)
            for (std::size_t i = 0; i < x.size(); ++i)
                y[r] += weights[e * y.size() * x.size() + (is_right ? i * y.size() + r : r * x.size() + i)] * x[i];
        return has(name + "_bias") ? sum(y, part(tensor(name + "_bias"), e * y.size(), y.size())) : y;
    }

    class_facts facts_;
    std::size_t width_, heads_, key_heads_;
    double epsilon_;
    plain_rotation global_, local_;
};

}  // namespace support
