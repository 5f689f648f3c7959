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
#include "tessera/json/text.hpp"
#include "tessera/safetensors/scales.hpp"

namespace tessera::huggingface {

namespace detail {

/// True when a rule or the row itself names the field.
[[nodiscard]] inline bool takes_part(const architecture_row& row, std::string_view field) {
    constexpr std::string_view counts[] = {"num_local_experts", "num_experts", "n_routed_experts"};
    const bool is_count = std::find(std::begin(counts), std::end(counts), field) != std::end(counts);
    const auto names = [&](const metadata_rule& rule) {
        return rule.config == field ||
               (is_count && std::find(std::begin(counts), std::end(counts), rule.config) != std::end(counts));
    };
    for (const metadata_rules& rules : row.metadata)
        if (std::any_of(rules.begin(), rules.end(), names)) return true;
    for (const layer_rules& group : row.layer)
        if (std::any_of(group.rules.begin(), group.rules.end(), [&](const auto& rule) { return rule.flag == field; }))
            return true;
    return std::find(row.reads.begin(), row.reads.end(), field) != row.reads.end();
}

}  // namespace detail

/// A model as config.json describes it. Of models of text and something else, it is the text part.
class model_settings {
public:
    /// Reads config.json and the other small files of a directory. Throws tessera::error naming file and key when the
    /// architecture is not in the table, the weights are in a type that cannot be read, a value is missing, of the
    /// wrong type or contradicts another, or a field says that the model computes something that GGUF's loaders do not.
    explicit model_settings(const std::filesystem::path& directory)
        : model_settings(directory, model_config(directory / "config.json")) {}

    [[nodiscard]] const architecture_row& architecture() const noexcept { return *row_; }
    /// The text part's fields.
    [[nodiscard]] const model_config& text() const noexcept { return text_; }
    [[nodiscard]] const rotary_embedding& rope() const noexcept { return rope_; }
    [[nodiscard]] const std::string& name() const noexcept { return name_; }
    /// Weights that share a scale in a checkpoint of 8-bit floats.
    [[nodiscard]] const safetensors::scale_block& block() const noexcept { return block_; }
    /// True when the output matrix is the embeddings.
    [[nodiscard]] bool is_tied() const noexcept { return is_tied_; }
    /// Layers for multi-token prediction that may be there.
    [[nodiscard]] std::uint64_t mtp_layers() const noexcept { return mtp_layers_; }
    /// What is worth knowing but stops nothing: a sentence each.
    [[nodiscard]] const std::vector<std::string>& notes() const noexcept { return notes_; }

    [[nodiscard]] const model_dimensions& dimensions() const noexcept { return dimensions_; }
    /// Takes layers for multi-token prediction into the dimensions.
    void append_mtp_layers(std::uint64_t count) { dimensions_.append_mtp_layers(count); }

    /// The keys after general.*, but for the vocabulary's.
    [[nodiscard]] metadata keys() const {
        const std::string prefix = std::string(row_->gguf_name) + ".";
        metadata keys;
        for (const metadata_rules& rules : row_->metadata)
            apply_metadata_rules(keys, prefix, text_, dimensions_, rules);
        if (own_period_ != 0)
            keys.set(prefix + "attention.sliding_window_pattern", static_cast<std::uint32_t>(own_period_));
        rope_.write(keys, prefix);
        return keys;
    }

private:
    model_settings(const std::filesystem::path& directory, const model_config& config)
        : row_(&find_architecture(config)),
          text_(text_part(config)),
          block_(read_quantization(text_, directory)),
          dimensions_(prepare()),
          rope_(text_, row_->rope, notes_),
          name_(model_name(config, directory)) {
        const layer_check layers(text_, *row_, dimensions_);
        layers.run(notes_);
        own_period_ = layers.own_period();
        is_tied_ = text_.flag("tie_word_embeddings").value_or(false);
        const char* key =
            text_.contains("mtp_num_hidden_layers") ? "mtp_num_hidden_layers" : "num_nextn_predict_layers";
        mtp_layers_ = text_.count(key, 512).value_or(0);
        static_cast<void>(keys());  // throws for what is missing
        note_unknown_fields();
    }

    // The text part may name an architecture of its own. Values of the part come first, then those around it, then what
    // the classes have by default.
    model_config text_part(const model_config& config) {
        const auto part = config.object("text_config");
        if (!part) {
            model_config text = config;
            gather_rope(text);
            return text.completed_with(row_->defaults);
        }
        for (const std::string& field : config.differences(*part))
            if (!is_bookkeeping(field))
                notes_.push_back(concat("config.json has ", field, ' ', config.shown(field), ", its text_config ",
                                        part->shown(field), ": the latter counts"));
        const std::string_view outer = std::exchange(row_, find_text_architecture(*part))->defaults;
        model_config text = config.overlaid_with(*part);
        gather_rope(text);
        text = text.completed_with(row_->defaults);
        return find_architecture(config).gguf_name == row_->gguf_name ? text.completed_with(outer) : text;
    }
    const architecture_row* find_text_architecture(const model_config& part) const {
        const std::vector<std::string> named = part.texts("architectures");
        const architecture_row* found = named.empty() ? nullptr : find_architecture(named.front());
        return found == nullptr ? row_ : found;
    }

    // Checks the fields that are no sizes, and takes out what the architecture does not have: none of it can have an
    // effect then.
    model_dimensions prepare() {
        if (row_->settle != nullptr) row_->settle(text_, notes_);
        for (const config_field& field : row_->assumes) require_field(text_, field);
        const bool has_experts = detail::takes_part(*row_, "num_experts");
        for (const config_field& field : optional_fields) {
            if (detail::takes_part(*row_, field.name)) continue;
            const bool is_assumed = std::any_of(row_->assumes.begin(), row_->assumes.end(),
                                                [&](const config_field& own) { return own.name == field.name; });
            const bool is_without_effect = field.matters_in == config_field::scope::experts && !has_experts;
            if (!is_assumed && !is_without_effect) require_field(text_, field);
            text_.erase(field.name);
        }
        return model_dimensions(text_);
    }

    // A class of transformers does not read fields it does not know. Still, who wrote them had something in mind.
    void note_unknown_fields() {
        std::string unknown;
        for (const std::string& field : text_.unread())
            if (!is_bookkeeping(field) && !field.starts_with('_') && !detail::takes_part(*row_, field))
                unknown += (unknown.empty() ? "" : ", ") + json_text(nlohmann::json(field), json_characters::ascii);
        if (!unknown.empty()) notes_.push_back("config.json has fields that mean nothing here: " + unknown);
    }

    std::vector<std::string> notes_;
    const architecture_row* row_;
    model_config text_;
    safetensors::scale_block block_;
    model_dimensions dimensions_;
    rotary_embedding rope_;
    std::string name_;
    std::uint64_t own_period_ = 0;
    std::uint64_t mtp_layers_ = 0;
    bool is_tied_ = false;
};

}  // namespace tessera::huggingface
