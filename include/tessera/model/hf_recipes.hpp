// How every GGUF tensor of a model is made of Hugging Face tensors.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/core/tensor_info.hpp"
#include "tessera/core/type_id.hpp"
#include "tessera/model/hf_architectures.hpp"
#include "tessera/model/hf_dimensions.hpp"
#include "tessera/model/hf_row_map.hpp"
#include "tessera/safetensors/reader.hpp"
#include "tessera/tensor/tensor_table.hpp"

namespace tessera::model {

/// One GGUF tensor and where its rows come from.
struct hf_recipe {
    tensor_info info;
    std::vector<const tensor_info*> parts;  ///< stacked one after another; they belong to the reader
    hf_row_map rows{1};                     ///< of every part; of its values when the tensor is a vector
    std::vector<float> values = {};         ///< the tensor itself when it has no parts

    [[nodiscard]] bool is_vector() const noexcept { return info.rank == 1; }
};

/// Turns rules into recipes and keeps count of what has been used.
class hf_recipe_maker {
public:
    hf_recipe_maker(const safetensors::reader& source, const hf_dimensions& dimensions, std::string where)
        : source_(source), dimensions_(dimensions), where_(std::move(where)), is_used_(source.tensors().size()) {}

    /// Adds the tensor of a rule, or nothing when it is optional and not there. The prefixes come before its names.
    /// Throws naming the tensor when it is missing, has another shape than config.json says, or holds no floats.
    void add(const hf_tensor_rule& rule, const std::string& gguf_prefix = "", const std::string& source_prefix = "") {
        const std::uint64_t columns = dimensions_.*rule.columns.value;
        const std::uint64_t rows = dimensions_.*rule.rows.value;
        const bool is_vector = rule.rows.value == &hf_dimensions::one;
        const std::vector<const tensor_info*> parts = find_parts(rule, source_prefix);
        if (parts.empty()) return;
        for (const tensor_info* part : parts) require_shape(*part, rule, columns, rows);

        hf_recipe recipe{.info = {.name = gguf_prefix + std::string(rule.gguf)}, .parts = parts};
        recipe.info.dims = {columns, rows, is_stack(rule) ? parts.size() : 1, 1};
        recipe.info.rank = is_vector ? 1 : is_stack(rule) ? 3 : 2;
        recipe.info.layout = layout_for(recipe.info, parts);
        recipe.rows = rule.row_map ? rule.row_map(dimensions_) : hf_row_map(is_vector ? columns : rows);
        recipes_.push_back(std::move(recipe));
    }

    /// Adds a vector that is computed, not read.
    void add(std::string name, std::vector<float> values) {
        hf_recipe recipe{.info = {.name = std::move(name)}, .parts = {}};
        recipe.info.dims[0] = values.size();
        recipe.values = std::move(values);
        recipes_.push_back(std::move(recipe));
    }

    /// Marks a tensor as deliberately left out.
    void skip(const tensor_info& tensor) { is_used_[position(tensor)] = true; }

    /// The recipes, in the order they were added. Throws naming a tensor of the source that no rule has used.
    [[nodiscard]] std::vector<hf_recipe> finish() {
        for (const tensor_info& tensor : source_.tensors())
            if (!is_used_[position(tensor)] && !is_never_needed(tensor.name))
                fail(where_, ": tensor ", tensor.name,
                     ": wanted tensors of the architecture only, got one that it does not have");
        return std::move(recipes_);
    }

private:
    static bool is_stack(const hf_tensor_rule& rule) { return rule.source.find(expert_mark) != std::string_view::npos; }

    // Constants that older checkpoints carry, and scales of activations and caches beside 8-bit weights.
    static bool is_never_needed(std::string_view name) {
        constexpr std::array suffixes = std::to_array<std::string_view>(
            {".rotary_emb.inv_freq", ".masked_bias", ".input_scale", ".k_scale", ".v_scale"});
        return std::any_of(suffixes.begin(), suffixes.end(), [&](std::string_view s) { return name.ends_with(s); });
    }

    std::vector<const tensor_info*> find_parts(const hf_tensor_rule& rule, const std::string& prefix) {
        std::vector<const tensor_info*> parts;
        const std::uint64_t count = is_stack(rule) ? dimensions_.experts : 1;
        for (std::uint64_t expert = 0; expert < count; ++expert) {
            std::string name = prefix + std::string(rule.source);
            if (is_stack(rule)) name.replace(name.find(expert_mark), expert_mark.size(), std::to_string(expert));
            const tensor_info* found = source_.find(name);
            if (found == nullptr) {
                if (rule.need == hf_need::optional) return {};
                fail(where_, ": tensor ", name, ": wanted by the architecture, got no such tensor");
            }
            is_used_[position(*found)] = true;
            parts.push_back(found);
        }
        return parts;
    }

    void require_shape(const tensor_info& part, const hf_tensor_rule& rule, std::uint64_t columns,
                       std::uint64_t rows) const {
        if (part.dims != std::array<std::uint64_t, 4>{columns, rows, 1, 1})
            fail(where_, ": tensor ", part.name, ": wanted [", rule.columns.name, ", ", rule.rows.name, "] = [",
                 columns, ", ", rows, "] from config.json, got ", shape_text(part));
        const type_id type = part.type();
        if (type != type_id::f32 && type != type_id::f16 && type != type_id::bf16 && type != type_id::f64)
            fail(where_, ": tensor ", part.name, ": wanted floats, got ", shape_text(part));
    }

    // GGUF's loaders want vectors, norms and routers in F32. Other tensors keep the type of their source.
    static type_layout layout_for(const tensor_info& info, std::span<const tensor_info* const> parts) {
        const type_layout& f32 = *find_type(type_id::f32);
        const type_layout& first = parts.front()->layout;
        const bool is_uniform =
            std::all_of(parts.begin(), parts.end(), [&](const tensor_info* p) { return p->type() == first.id; });
        const bool is_router = info.name.ends_with("ffn_gate_inp.weight");
        const bool is_norm = info.name.ends_with("_norm.weight");
        return info.rank == 1 || is_norm || is_router || !is_uniform || first.id == type_id::f64 ? f32 : first;
    }

    std::size_t position(const tensor_info& tensor) const {
        return static_cast<std::size_t>(&tensor - source_.tensors().data());
    }

    static constexpr std::string_view expert_mark = "{expert}";

    const safetensors::reader& source_;
    const hf_dimensions& dimensions_;
    std::string where_;
    std::vector<bool> is_used_;
    std::vector<hf_recipe> recipes_;
};

}  // namespace tessera::model
