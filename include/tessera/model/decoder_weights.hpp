// The tensors of a model, each found by name, checked against the architecture and put in its place.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/core/tensor_index.hpp"
#include "tessera/core/tensor_info.hpp"
#include "tessera/model/decoder_spec.hpp"
#include "tessera/model/feed_forward.hpp"
#include "tessera/model/linear.hpp"
#include "tessera/tensor/concepts.hpp"

namespace tessera::model {

/// The weights of one block. A dense network is one expert without a router.
struct layer_weights {
    std::vector<float> attention_norm;
    linear query, key, value, attention_output;
    std::vector<float> feed_forward_norm;
    linear router;
    std::vector<feed_forward_weights> experts;
};

/// The weights of a model. Matrices stay in the source until they are used; vectors are here.
struct decoder_weights {
    const tensor_info* embedding = nullptr;
    std::vector<float> rope_factors;  ///< empty when the model has none
    std::vector<layer_weights> layers;
    std::vector<float> output_norm;
    linear output;  ///< the embedding itself when the model has no output matrix
};

namespace detail {

// Takes tensors out of a source by name and remembers which, so that what is left over can be reported.
template <tensor_source Source>
class weight_binder {
public:
    using shape = std::initializer_list<std::uint64_t>;

    explicit weight_binder(const Source& source)
        : source_(source), tensors_(source.tensors()), index_(tensors_, "model"), taken_(tensors_.size()) {}

    [[nodiscard]] bool has(const std::string& name) const { return index_.find(name) != tensor_index::npos; }

    const tensor_info& take(const std::string& name, shape wanted) {
        const std::size_t position = index_.find(name);
        if (position == tensor_index::npos) fail("tensor ", name, ": wanted ", text(wanted), ", got no such tensor");
        const tensor_info& info = tensors_[position];
        std::array<std::uint64_t, 4> dims{1, 1, 1, 1};
        std::copy(wanted.begin(), wanted.end(), dims.begin());
        if (info.dims != dims)
            fail("tensor ", name, ": wanted ", text(wanted), ", got ", text({info.dims.data(), info.effective_rank()}));
        taken_[position] = true;
        return info;
    }

    // `name`.weight with `name`.bias, if that is there.
    linear matrix(const std::string& name, std::uint64_t inputs, std::uint64_t outputs) {
        return {&take(name + ".weight", {inputs, outputs}), 0, outputs, optional_vector(name + ".bias", outputs)};
    }
    std::vector<float> vector(const std::string& name, std::uint64_t size) {
        const tensor_info& info = take(name, {size});
        std::vector<float> values(size);
        source_.read(info, 0, 1, std::span<float>(values));
        return values;
    }
    std::vector<float> optional_vector(const std::string& name, std::uint64_t size) {
        return has(name) ? vector(name, size) : std::vector<float>();
    }

    void require_all_taken(std::string_view architecture) const {
        const auto left = static_cast<std::size_t>(std::count(taken_.begin(), taken_.end(), false));
        if (left == 0) return;
        const auto first = std::find(taken_.begin(), taken_.end(), false) - taken_.begin();
        const std::string others = left > 1 ? concat(" and ", left - 1, " more") : "";
        fail("tensor ", tensors_[static_cast<std::size_t>(first)].name, others,
             ": wanted only tensors that architecture ", architecture, " has with this metadata, got unknown ones");
    }

private:
    [[nodiscard]] static std::string text(std::span<const std::uint64_t> dims) {
        std::string all;
        for (const std::uint64_t dim : dims) all += (all.empty() ? "" : ", ") + std::to_string(dim);
        return '[' + all + ']';
    }
    [[nodiscard]] static std::string text(shape dims) { return text(std::span(dims.begin(), dims.size())); }

    const Source& source_;
    std::span<const tensor_info> tensors_;
    tensor_index index_;
    std::vector<bool> taken_;
};

// Rows [first, first + count) of a matrix.
[[nodiscard]] inline linear slice(const linear& whole, std::uint64_t first, std::size_t count) {
    linear part{whole.tensor, whole.first_row + first, count, {}};
    if (!whole.bias.empty()) {
        const auto begin = whole.bias.begin() + static_cast<std::ptrdiff_t>(first);
        part.bias.assign(begin, begin + static_cast<std::ptrdiff_t>(count));
    }
    return part;
}

template <tensor_source Source>
void bind_attention(weight_binder<Source>& binder, const decoder_spec& spec, const std::string& block,
                    layer_weights& layer) {
    const std::size_t queries = spec.heads * spec.head_size;
    const std::size_t keys = spec.kv_heads * spec.head_size;
    const std::size_t values = spec.kv_heads * spec.value_size;
    layer.attention_norm = binder.vector(block + "attn_norm.weight", spec.width);
    if (binder.has(block + "attn_qkv.weight")) {
        const linear all = binder.matrix(block + "attn_qkv", spec.width, queries + keys + values);
        layer.query = slice(all, 0, queries);
        layer.key = slice(all, queries, keys);
        layer.value = slice(all, queries + keys, values);
    } else {
        layer.query = binder.matrix(block + "attn_q", spec.width, queries);
        layer.key = binder.matrix(block + "attn_k", spec.width, keys);
        layer.value = binder.matrix(block + "attn_v", spec.width, values);
    }
    layer.attention_output = binder.matrix(block + "attn_output", spec.heads * spec.value_size, spec.width);
}

template <tensor_source Source>
void bind_feed_forward(weight_binder<Source>& binder, const decoder_spec& spec, const std::string& block,
                       layer_weights& layer) {
    layer.feed_forward_norm = binder.vector(block + "ffn_norm.weight", spec.width);
    if (spec.experts.count == 0) {
        layer.experts.push_back({.gate = binder.matrix(block + "ffn_gate", spec.width, spec.feed_forward),
                                 .up = binder.matrix(block + "ffn_up", spec.width, spec.feed_forward),
                                 .down = binder.matrix(block + "ffn_down", spec.feed_forward, spec.width)});
        return;
    }
    layer.router = binder.matrix(block + "ffn_gate_inp", spec.width, spec.experts.count);
    const auto stack = [&](const std::string& name, std::uint64_t inputs, std::uint64_t outputs) {
        return &binder.take(block + name + ".weight", {inputs, outputs, spec.experts.count});
    };
    const tensor_info* gate = stack("ffn_gate_exps", spec.width, spec.feed_forward);
    const tensor_info* up = stack("ffn_up_exps", spec.width, spec.feed_forward);
    const tensor_info* down = stack("ffn_down_exps", spec.feed_forward, spec.width);
    for (std::size_t e = 0; e < spec.experts.count; ++e)
        layer.experts.push_back({.gate = {gate, e * spec.feed_forward, spec.feed_forward, {}},
                                 .up = {up, e * spec.feed_forward, spec.feed_forward, {}},
                                 .down = {down, e * spec.width, spec.width, {}}});
}

}  // namespace detail

/// Finds the tensors that `spec` asks for. Throws naming the tensor when one is missing, has other dimensions than
/// wanted, or is not known to the architecture: a model with a part that would be ignored gives wrong figures.
template <tensor_source Source>
[[nodiscard]] decoder_weights bind_weights(const Source& source, const decoder_spec& spec) {
    detail::weight_binder<Source> binder(source);
    decoder_weights weights;
    weights.embedding = &binder.take("token_embd.weight", {spec.width, spec.vocabulary});
    weights.rope_factors = binder.optional_vector("rope_freqs.weight", spec.rope.dims / 2);
    for (const float factor : weights.rope_factors)
        if (!(factor > 0.0f)) fail("tensor rope_freqs.weight: wanted positive factors, got ", factor);
    for (std::size_t l = 0; l < spec.layers; ++l) {
        const std::string block = concat("blk.", l, '.');
        layer_weights& layer = weights.layers.emplace_back();
        detail::bind_attention(binder, spec, block, layer);
        detail::bind_feed_forward(binder, spec, block, layer);
    }
    weights.output_norm = binder.vector("output_norm.weight", spec.width);
    weights.output = binder.has("output.weight") ? binder.matrix("output", spec.width, spec.vocabulary)
                                                 : linear{weights.embedding, 0, spec.vocabulary, {}};
    binder.require_all_taken(spec.architecture);
    return weights;
}

}  // namespace tessera::model
