// How every GGUF tensor of a model is made of Hugging Face tensors.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/core/tensor_info.hpp"
#include "tessera/core/type_id.hpp"
#include "tessera/format/fp4.hpp"
#include "tessera/huggingface/config.hpp"
#include "tessera/huggingface/dimensions.hpp"
#include "tessera/huggingface/row_map.hpp"
#include "tessera/huggingface/rules.hpp"
#include "tessera/safetensors/reader.hpp"
#include "tessera/tensor/tensor_table.hpp"

namespace tessera::huggingface {

/// Some rows of a source tensor; one row for a vector. Of a transposed tensor, `rows` are columns of each matrix.
struct source_part {
    const tensor_info* source;  ///< belongs to the reader
    row_map rows;
};

/// One GGUF tensor and where its rows come from.
struct tensor_conversion {
    tensor_info info;
    std::vector<source_part> parts;             ///< stacked one after another
    std::optional<row_map> columns = {};        ///< of the source; none: as they are
    float (*value)(float) = nullptr;            ///< none: as it is
    std::uint64_t transposed_rows = 0;          ///< of one matrix of the source; 0: not transposed
    const tensor_info* block_scales = nullptr;  ///< of MXFP4 blocks; `parts` then has their codes
    std::vector<float> values = {};             ///< the tensor itself when it has no parts

    [[nodiscard]] bool is_vector() const noexcept { return info.rank == 1; }
    /// True when rows are the source's, but for their order and type.
    [[nodiscard]] bool has_plain_rows() const noexcept {
        return !columns && value == nullptr && transposed_rows == 0 && block_scales == nullptr;
    }
};

/// Turns rules into conversions and keeps count of what has been used.
class conversion_maker {
public:
    /// `config` says which tensors there are whose rules name a field. It is kept, as the others are.
    conversion_maker(const safetensors::reader& source, const model_dimensions& dimensions, const model_config& config,
                     std::string where)
        : source_(source),
          dimensions_(dimensions),
          config_(config),
          where_(std::move(where)),
          is_used_(source.tensors().size()) {
        for (const tensor_info& tensor : source.tensors()) by_name_.emplace(text_name(tensor.name), &tensor);
    }

    /// The source tensor of this name, or null. In multimodal models, the text part's names are those of a
    /// model of its own but for an inserted word, which is passed over.
    [[nodiscard]] const tensor_info* find(const std::string& name) const {
        const auto found = by_name_.find(name);
        return found == by_name_.end() ? nullptr : found->second;
    }
    [[nodiscard]] static std::string text_name(std::string name) {
        constexpr std::string_view word = "language_model.";
        const std::size_t at = name.find(word);
        return at == std::string::npos ? name : name.erase(at, word.size());
    }

    /// Adds the tensors of some rules: of alternatives, the first whose source is there; nothing for optional ones that
    /// are not. The prefixes come before their names. Throws naming the tensor when it is missing, has another shape
    /// than config.json says, or holds no floats.
    void add(tensor_rules rules, const std::string& gguf_prefix = "", const std::string& source_prefix = "") {
        for (std::size_t i = 0; i < rules.size(); ++i) {
            const bool has_alternative = i + 1 < rules.size() && rules[i + 1].gguf == rules[i].gguf;
            if (has_alternative && find(source_prefix + part_name(rules[i], 0)) == nullptr) continue;
            add(rules[i], gguf_prefix, source_prefix);
            while (i + 1 < rules.size() && rules[i + 1].gguf == rules[i].gguf) ++i;
        }
    }

    void add(const tensor_rule& rule, const std::string& gguf_prefix = "", const std::string& source_prefix = "") {
        if (!rule.flag.empty() && !is_flagged(rule, source_prefix)) return;
        const tensor_transform& transform = rule.transform;
        const std::vector<const tensor_info*> sources = find_sources(rule, source_prefix);
        if (sources.empty()) return;
        const std::uint64_t columns = dimensions_.*rule.columns.value;
        const std::uint64_t rows = dimensions_.*rule.rows.value;
        const bool is_vector = rule.rows.value == &model_dimensions::one;
        const std::uint64_t matrices = transform.matrices.value ? dimensions_.*transform.matrices.value : 1;

        tensor_conversion conversion{.info = {.name = gguf_prefix + std::string(rule.gguf)}, .parts = {}};
        conversion.info.dims = {columns, rows, is_stack(rule) ? sources.size() : matrices, 1};
        conversion.info.rank = is_vector ? 1 : is_stack(rule) || transform.matrices.value ? 3 : 2;
        conversion.value = transform.value;
        if (transform.packed == tensor_transform::packing::mxfp4)
            conversion.block_scales = &require_blocks(*sources.front(), rule, source_prefix);
        else
            for (const tensor_info* source : sources) require_shape(*source, rule);
        conversion.info.layout = conversion.block_scales ? layout_of<mxfp4> : layout_for(conversion, sources);
        if (transform.transposed.value) conversion.transposed_rows = dimensions_.*transform.transposed.value;

        if (transform.columns) conversion.columns = transform.columns(dimensions_);
        if (transform.rows && is_vector) conversion.columns = transform.rows(dimensions_).front();
        const std::uint64_t all_rows = transform.transposed.value ? rows : rows * matrices;
        const row_maps maps = transform.rows && !is_vector ? transform.rows(dimensions_) : row_maps{row_map(all_rows)};
        for (const tensor_info* source : sources)
            for (const row_map& map : maps) conversion.parts.push_back({source, map});
        conversions_.push_back(std::move(conversion));
    }

    /// Adds a vector that is computed, not read.
    void add(std::string name, std::vector<float> values) {
        tensor_conversion conversion{.info = {.name = std::move(name)}, .parts = {}};
        conversion.info.dims[0] = values.size();
        conversion.values = std::move(values);
        conversions_.push_back(std::move(conversion));
    }

    /// Marks a tensor as deliberately left out.
    void skip(const tensor_info& tensor) { is_used_[position(tensor)] = true; }
    /// Marks all tensors whose names, without the word of the text part, begin so. Returns how many there are.
    std::uint64_t skip(std::string_view prefix) {
        std::uint64_t count = 0;
        for (const auto& [name, tensor] : by_name_)
            if (name.starts_with(prefix)) {
                skip(*tensor);
                ++count;
            }
        return count;
    }
    /// True when the name of some tensor begins so.
    [[nodiscard]] bool has(std::string_view prefix) const {
        return std::any_of(by_name_.begin(), by_name_.end(),
                           [&](const auto& entry) { return entry.first.starts_with(prefix); });
    }

    /// The conversions, in the order they were added. Throws naming a tensor of the source that no rule has used.
    [[nodiscard]] std::vector<tensor_conversion> finish() {
        for (const tensor_info& tensor : source_.tensors())
            if (!is_used_[position(tensor)] && !is_never_needed(tensor.name))
                fail(where_, ": tensor ", tensor.name,
                     ": wanted tensors of the architecture only, got one that it does not have");
        return std::move(conversions_);
    }

private:
    static bool is_stack(const tensor_rule& rule) { return rule.source.find(expert_mark) != std::string_view::npos; }

    static std::string part_name(const tensor_rule& rule, std::uint64_t expert) {
        std::string name(rule.source);
        if (is_stack(rule)) name.replace(name.find(expert_mark), expert_mark.size(), std::to_string(expert));
        return name;
    }

    // What a field of config.json says of the rule's tensor. Where it says that there is none, transformers passes over
    // one that is there all the same, and a model with it would be another.
    bool is_flagged(const tensor_rule& rule, const std::string& prefix) const {
        if (config_.flag(rule.flag).value_or(false)) return true;
        if (const tensor_info* found = find(prefix + std::string(rule.source)))
            fail(where_, ": tensor ", found->name, ": wanted none, as config.json has ", rule.flag, " ",
                 config_.shown(rule.flag), ", got one");
        return false;
    }

    // Constants that older checkpoints carry, and scales of activations and caches beside 8-bit weights.
    static bool is_never_needed(std::string_view name) {
        constexpr std::array suffixes = std::to_array<std::string_view>(
            {".rotary_emb.inv_freq", ".masked_bias", ".input_scale", "_input_scale", ".input_scale_ub",
             ".activation_scale", "_activation_scale", ".output_scale", ".q_scale", ".k_scale", ".v_scale", ".kv_scale",
             ".prob_output_scale"});
        return std::any_of(suffixes.begin(), suffixes.end(), [&](std::string_view s) { return name.ends_with(s); });
    }

    const tensor_info& require(const std::string& name) {
        const tensor_info* found = find(name);
        if (found == nullptr) fail(where_, ": tensor ", name, ": wanted by the architecture, got no such tensor");
        is_used_[position(*found)] = true;
        return *found;
    }

    std::vector<const tensor_info*> find_sources(const tensor_rule& rule, const std::string& prefix) {
        std::vector<const tensor_info*> sources;
        const std::uint64_t count = is_stack(rule) ? dimensions_.experts : 1;
        for (std::uint64_t expert = 0; expert < count; ++expert) {
            const std::string name = prefix + part_name(rule, expert);
            if (rule.need == presence::optional && rule.flag.empty() && find(name) == nullptr) return {};
            sources.push_back(&require(name));
        }
        return sources;
    }

    // What the rule says about the source's shape.
    std::array<named_dimension, 3> source_shape(const tensor_rule& rule) const {
        constexpr named_dimension one{"1", &model_dimensions::one};
        if (rule.transform.source[0].value) return rule.transform.source;
        return {rule.columns, rule.rows, rule.transform.matrices.value ? rule.transform.matrices : one};
    }

    void require_shape(const tensor_info& part, const tensor_rule& rule) const {
        std::array<std::uint64_t, 4> dims{1, 1, 1, 1};
        std::string names, numbers;
        std::size_t d = 0;
        for (const named_dimension& dimension : source_shape(rule)) {
            dims[d] = dimensions_.*dimension.value;
            if (d == 2 && dimension.value == &model_dimensions::one) break;
            names += (d > 0 ? ", " : "") + std::string(dimension.name);
            numbers += (d > 0 ? ", " : "") + std::to_string(dims[d]);
            ++d;
        }
        if (part.dims != dims)
            fail(where_, ": tensor ", part.name, ": wanted [", names, "] = [", numbers, "] from config.json, got ",
                 shape_text(part));
        const type_id type = part.type();
        if (type != type_id::f32 && type != type_id::f16 && type != type_id::bf16 && type != type_id::f64)
            fail(where_, ": tensor ", part.name, ": wanted floats, got ", shape_text(part),
                 ": weights that are quantized already; take the checkpoint they were made from");
    }

    // The scales of MXFP4 blocks, whose shapes are checked: 16 bytes of codes and one of scale for 32 weights.
    const tensor_info& require_blocks(const tensor_info& codes, const tensor_rule& rule, const std::string& prefix) {
        constexpr std::string_view suffix = "_blocks";
        const std::string_view name = rule.source.substr(0, rule.source.size() - suffix.size());
        const tensor_info& scales = require(prefix + std::string(name) + "_scales");
        const auto shape = source_shape(rule);
        const std::uint64_t columns = dimensions_.*shape[0].value, rows = dimensions_.*shape[1].value,
                            matrices = dimensions_.*shape[2].value;
        const auto check = [&](const tensor_info& info, std::array<std::uint64_t, 4> wanted) {
            tensor_info right = codes;
            right.dims = wanted;
            if (info.dims != wanted || info.type() != type_id::i8 || columns % 32 != 0)
                fail(where_, ": tensor ", info.name, ": wanted bytes, ", shape_text(right), " for rows of ", columns,
                     " weights in blocks of 32, got ", shape_text(info));
        };
        check(codes, {16, columns / 32, rows, matrices});
        check(scales, {columns / 32, rows, matrices, 1});
        return scales;
    }

    // GGUF's loaders want vectors, biases, norms, routers and convolutions in F32. Other tensors keep the type of their
    // source.
    static type_layout layout_for(const tensor_conversion& conversion, std::span<const tensor_info* const> parts) {
        const type_layout& f32 = f32_layout;
        const type_layout& first = parts.front()->layout;
        const bool is_uniform =
            std::all_of(parts.begin(), parts.end(), [&](const tensor_info* p) { return p->type() == first.id; });
        const std::string_view name = conversion.info.name;
        const bool is_small = conversion.info.rank == 1 || !name.ends_with(".weight") ||
                              name.ends_with("_norm.weight") || name.ends_with("ffn_gate_inp.weight") ||
                              name.ends_with("ssm_conv1d.weight");
        return is_small || conversion.value || !is_uniform || first.id == type_id::f64 ? f32 : first;
    }

    std::size_t position(const tensor_info& tensor) const {
        return static_cast<std::size_t>(&tensor - source_.tensors().data());
    }

    static constexpr std::string_view expert_mark = "{expert}";

    const safetensors::reader& source_;
    const model_dimensions& dimensions_;
    const model_config& config_;
    std::string where_;
    std::unordered_map<std::string, const tensor_info*> by_name_;
    std::vector<bool> is_used_;
    std::vector<tensor_conversion> conversions_;
};

/// The prefix of a layer's names in the source.
[[nodiscard]] inline std::string layer_prefix(std::string_view pattern, const model_dimensions& dimensions,
                                              std::uint64_t layer) {
    std::string prefix(pattern);
    const auto insert = [&](std::string_view mark, std::uint64_t number) {
        if (const std::size_t at = prefix.find(mark); at != std::string::npos)
            prefix.replace(at, mark.size(), std::to_string(number));
    };
    insert("{layer}", layer);
    insert("{mtp}", layer - dimensions.layers);  // where it occurs, the layer is one of these
    return prefix;
}

}  // namespace tessera::huggingface
