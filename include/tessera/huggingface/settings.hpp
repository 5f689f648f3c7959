// Everything that config.json says of a model, checked before any weight is looked at.
#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "tessera/core/error.hpp"
#include "tessera/core/metadata.hpp"
#include "tessera/huggingface/architectures.hpp"
#include "tessera/huggingface/config.hpp"
#include "tessera/huggingface/dimensions.hpp"
#include "tessera/huggingface/fields.hpp"
#include "tessera/huggingface/layers.hpp"
#include "tessera/huggingface/metadata.hpp"
#include "tessera/huggingface/quantization.hpp"
#include "tessera/huggingface/rope.hpp"
#include "tessera/huggingface/rules.hpp"
#include "tessera/safetensors/scales.hpp"

namespace tessera::huggingface {

namespace detail {

/// True when a rule or the row itself names the field.
[[nodiscard]] inline bool takes_part(const hf_architecture& row, std::string_view field) {
    constexpr std::string_view counts[] = {"num_local_experts", "num_experts", "n_routed_experts"};
    const bool is_count = std::find(std::begin(counts), std::end(counts), field) != std::end(counts);
    const auto names = [&](const hf_metadata_rule& rule) {
        return rule.config == field ||
               (is_count && std::find(std::begin(counts), std::end(counts), rule.config) != std::end(counts));
    };
    for (const hf_metadata_rules& rules : row.metadata)
        if (std::any_of(rules.begin(), rules.end(), names)) return true;
    for (const hf_layer_rules& group : row.layer)
        if (std::any_of(group.rules.begin(), group.rules.end(), [&](const auto& rule) { return rule.flag == field; }))
            return true;
    return std::find(row.reads.begin(), row.reads.end(), field) != row.reads.end();
}

}  // namespace detail

/// A model as config.json describes it. Of models of text and something else, it is the text part.
class hf_settings {
public:
    /// Reads config.json and the other small files of a directory. Throws tessera::error naming file and key when the
    /// architecture is not in the table, the weights are in a type that cannot be read, a value is missing, of the
    /// wrong type or contradicts another, or a field says that the model computes something that GGUF's loaders do not.
    explicit hf_settings(const std::filesystem::path& directory)
        : hf_settings(directory, hf_config(directory / "config.json")) {}

    [[nodiscard]] const hf_architecture& architecture() const noexcept { return *row_; }
    /// The text part's fields.
    [[nodiscard]] const hf_config& text() const noexcept { return text_; }
    [[nodiscard]] const hf_rope& rope() const noexcept { return rope_; }
    [[nodiscard]] const std::string& name() const noexcept { return name_; }
    /// Weights that share a scale in a checkpoint of 8-bit floats.
    [[nodiscard]] const safetensors::scale_block& block() const noexcept { return block_; }
    /// True when the output matrix is the embeddings.
    [[nodiscard]] bool is_tied() const noexcept { return is_tied_; }
    /// Layers behind the last that may be there.
    [[nodiscard]] std::uint64_t next_layers() const noexcept { return next_layers_; }
    /// What is worth knowing but stops nothing: a sentence each.
    [[nodiscard]] const std::vector<std::string>& notes() const noexcept { return notes_; }

    [[nodiscard]] const hf_dimensions& dimensions() const noexcept { return dimensions_; }
    /// Takes layers behind the last into the dimensions.
    void append_next_layers(std::uint64_t count) { dimensions_.append_next_layers(count); }

    /// The keys behind general.*, but for the vocabulary's.
    [[nodiscard]] metadata keys() const {
        const std::string prefix = std::string(row_->gguf_name) + ".";
        metadata keys;
        for (const hf_metadata_rules& rules : row_->metadata)
            apply_metadata_rules(keys, prefix, text_, dimensions_, rules);
        if (own_period_ != 0)
            keys.set(prefix + "attention.sliding_window_pattern", static_cast<std::uint32_t>(own_period_));
        rope_.write(keys, prefix);
        return keys;
    }

private:
    hf_settings(const std::filesystem::path& directory, const hf_config& config)
        : row_(&find_hf_architecture(config)),
          text_(text_part(config)),
          block_(read_quantization(text_, directory)),
          dimensions_(prepare()),
          rope_(text_, row_->rope, notes_),
          name_(hf_model_name(config, directory)) {
        const hf_layer_check layers(text_, *row_, dimensions_);
        layers.run(notes_);
        own_period_ = layers.own_period();
        is_tied_ = text_.flag("tie_word_embeddings").value_or(false);
        const char* key =
            text_.contains("mtp_num_hidden_layers") ? "mtp_num_hidden_layers" : "num_nextn_predict_layers";
        next_layers_ = text_.count(key, 512).value_or(0);
        static_cast<void>(keys());  // throws for what is missing
        note_unknown_fields();
    }

    // The text part may name an architecture of its own. Values of the part come first, then those around it, then what
    // the classes have by default.
    hf_config text_part(const hf_config& config) {
        const auto part = config.object("text_config");
        if (!part) {
            hf_config text = config;
            gather_rope(text);
            return text.completed_with(row_->defaults);
        }
        for (const std::string& field : config.differences(*part))
            if (!is_bookkeeping(field))
                notes_.push_back(concat("config.json has ", field, ' ', config.shown(field), ", its text_config ",
                                        part->shown(field), ": the latter counts"));
        const std::string_view outer = std::exchange(row_, find_text_architecture(*part))->defaults;
        hf_config text = config.overlaid_with(*part);
        gather_rope(text);
        text = text.completed_with(row_->defaults);
        return find_hf_architecture(config).gguf_name == row_->gguf_name ? text.completed_with(outer) : text;
    }
    const hf_architecture* find_text_architecture(const hf_config& part) const {
        const std::vector<std::string> named = part.texts("architectures");
        const hf_architecture* found = named.empty() ? nullptr : find_hf_architecture(named.front());
        return found == nullptr ? row_ : found;
    }

    // Checks the fields that are no sizes, and takes out what the architecture does not have: none of it can have an
    // effect then.
    hf_dimensions prepare() {
        if (row_->settle != nullptr) row_->settle(text_, notes_);
        for (const hf_field& field : row_->assumes) require_field(text_, field);
        const bool has_experts = detail::takes_part(*row_, "num_experts");
        for (const hf_field& field : hf_optional_fields) {
            if (detail::takes_part(*row_, field.name)) continue;
            const bool is_assumed = std::any_of(row_->assumes.begin(), row_->assumes.end(),
                                                [&](const hf_field& own) { return own.name == field.name; });
            const bool is_without_effect = field.matters_in == hf_field::scope::experts && !has_experts;
            if (!is_assumed && !is_without_effect) require_field(text_, field);
            text_.erase(field.name);
        }
        return hf_dimensions(text_);
    }

    // A class of transformers does not read fields it does not know. Still, who wrote them had something in mind.
    void note_unknown_fields() {
        std::string unknown;
        for (const std::string& field : text_.unread())
            if (!is_bookkeeping(field) && !field.starts_with('_') && !detail::takes_part(*row_, field))
                unknown += (unknown.empty() ? "" : ", ") + nlohmann::json(field).dump(-1, ' ', true);
        if (!unknown.empty()) notes_.push_back("config.json has fields that mean nothing here: " + unknown);
    }

    std::vector<std::string> notes_;
    const hf_architecture* row_;
    hf_config text_;
    safetensors::scale_block block_;
    hf_dimensions dimensions_;
    hf_rope rope_;
    std::string name_;
    std::uint64_t own_period_ = 0;
    std::uint64_t next_layers_ = 0;
    bool is_tied_ = false;
};

}  // namespace tessera::huggingface
