// Rotary embedding: from config.json to metadata, and to the frequency factors of Llama 3.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numbers>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "tessera/core/error.hpp"
#include "tessera/core/metadata.hpp"
#include "tessera/huggingface/config.hpp"
#include "tessera/huggingface/fields.hpp"
#include "tessera/huggingface/rules.hpp"

namespace tessera::huggingface {

/// Config.json has rotary embedding in `rope_scaling` and `rope_theta`, or all in `rope_parameters`, there perhaps once
/// for each kind of layer, or in both: brings it to `rope_theta`, `partial_rotary_factor` and one of the objects.
/// Throws naming the key when two places differ.
inline void gather_rope(model_config& config) {
    const auto is_there = [](const nlohmann::json* value) { return value != nullptr && value->is_object(); };
    const nlohmann::json* older = config.value("rope_scaling");
    const nlohmann::json* newer = config.value("rope_parameters");
    if (is_there(older) && is_there(newer)) {
        nlohmann::json both = *newer;
        for (const auto& [key, value] : older->items()) {
            if (value.is_null()) continue;
            if (both.contains(key) && !both[key].is_null() && both[key] != value)
                config.reject("rope_parameters", "wanted ", key, " as in rope_scaling, ", value.dump(), ", got ",
                              both[key].dump());
            both[key] = value;
        }
        config.set("rope_scaling", std::move(both));
        config.erase("rope_parameters");
    }
    const char* place = is_there(config.value("rope_scaling")) ? "rope_scaling" : "rope_parameters";
    if (!is_there(config.value(place))) return;
    nlohmann::json rope = *config.value(place);
    for (const char* key : {"rope_theta", "partial_rotary_factor", "original_max_position_embeddings"}) {
        if (!rope.contains(key) || rope[key].is_null()) continue;
        if (config.contains(key) && *config.value(key) != rope[key])
            config.reject(key, "wanted the same as in ", place, ", ", rope[key].dump(), ", got ", config.shown(key));
        config.set(key, rope[key]);
        rope.erase(key);
    }
    config.set(place, std::move(rope));
}

/// The rotary embedding of a model.
class rotary_embedding {
public:
    /// `config` has been through gather_rope. Throws naming the key when a value is missing or out of range, or GGUF
    /// has no counterpart to it in models of this style. What loaders of GGUF pass over becomes a note.
    rotary_embedding(const model_config& config, rope_style style, std::vector<std::string>& notes) : style_(style) {
        constexpr const char* original = "original_max_position_embeddings";
        if (config.contains(original)) original_context_ = config.require_count(original);
        context_ = config.require_count("max_position_embeddings");
        scaling_ = config.object("rope_scaling");
        if (!scaling_) scaling_ = config.object("rope_parameters");
        if (config.contains("rope_local_base_freq")) local_base_ = config.require_positive("rope_local_base_freq");
        if (scaling_)
            if (const auto local = scaling_->object("sliding_attention")) read_local(*local);
        if (scaling_)
            if (const auto full = scaling_->object("full_attention")) scaling_ = full;
        if (scaling_ && scaling_->contains("rope_theta"))
            base_ = scaling_->require_positive("rope_theta");
        else if (config.contains("rope_theta"))
            base_ = config.require_positive("rope_theta");
        if (scaling_ && scaling_->contains(original)) original_context_ = scaling_->require_count(original);
        sections_ = (scaling_ && scaling_->contains("mrope_section") ? *scaling_ : config).counts("mrope_section");
        if (scaling_) read_scaling(config, notes);
        if (style == rope_style::none) {
            if (type_ != kind::plain) scaling_->reject("rope_type", "wanted default or nothing, got another type");
            if (base_.value_or(10000.0) != 10000.0) refuse_field(config, "rope_theta", "10000");
        }
    }

    /// Sets the keys of rotary embedding, each after `prefix` ("llama.").
    void write(metadata& properties, const std::string& prefix) const {
        if (style_ == rope_style::none) return;
        const auto set = [&](const char* key, auto value) { properties.set(prefix + "rope." + key, value); };
        if (base_) set("freq_base", static_cast<float>(*base_));
        if (local_base_) set("freq_base_swa", static_cast<float>(*local_base_));
        if (!sections_.empty()) {
            std::vector<std::int32_t> sections(4);
            for (std::size_t i = 0; i < std::min<std::size_t>(4, sections_.size()); ++i)
                sections[i] = static_cast<std::int32_t>(sections_[i]);
            set("dimension_sections", std::move(sections));
        }
        if (style_ == rope_style::long_and_short) {  // the loader tells the type from the factors
            if (original_context_)
                set("scaling.original_context_length", static_cast<std::uint32_t>(*original_context_));
            if (type_ != kind::plain) set("scaling.attn_factor", static_cast<float>(attention_factor()));
            return;
        }
        if (type_ != kind::linear && type_ != kind::yarn) return;  // Llama 3's is in the factors alone

        set("scaling.type", std::string(type_ == kind::linear ? "linear" : "yarn"));
        set("scaling.factor", static_cast<float>(factor_));
        if (type_ == kind::linear) return;
        if (original_context_) set("scaling.original_context_length", static_cast<std::uint32_t>(*original_context_));
        if (const auto all = scaling_->number("mscale_all_dim"); all && style_ == rope_style::latent)
            set("scaling.yarn_log_multiplier", static_cast<float>(0.1 * *all));
        // Loaders multiply this with YaRN's own factor.
        if (const double rest = attention_factor() / yarn_growth(1.0);
            style_ != rope_style::latent && std::abs(rest - 1.0) > 1e-6)
            set("scaling.attn_factor", static_cast<float>(rest));
        for (const auto& [gguf, config] :
             {std::pair("scaling.yarn_beta_fast", "beta_fast"), std::pair("scaling.yarn_beta_slow", "beta_slow")})
            if (const auto value = scaling_->number(config)) set(gguf, static_cast<float>(*value));
    }

    /// The factors for long and short contexts (Phi-3), one per pair of values that turn; empty for other types. Throws
    /// when there are not as many.
    [[nodiscard]] std::vector<float> long_factors(std::uint64_t turned) const {
        return listed_factors("long_factor", turned);
    }
    [[nodiscard]] std::vector<float> short_factors(std::uint64_t turned) const {
        return listed_factors("short_factor", turned);
    }

    /// Llama 3's divisors of the frequencies, one per pair of a head; empty for other types. Wavelengths well inside
    /// the original context stay, those beyond it get the factor, those between are interpolated, if there is a
    /// between.
    [[nodiscard]] std::vector<float> frequency_factors(std::uint64_t turned) const {
        if (type_ != kind::llama3) return {};
        const double low = scaling_->require_positive("low_freq_factor");
        const double high = scaling_->require_positive("high_freq_factor");
        if (high < low) scaling_->reject("high_freq_factor", "wanted at least low_freq_factor, ", low, ", got ", high);
        const auto context = static_cast<double>(original_context_.value_or(8192));

        std::vector<float> factors;
        for (std::uint64_t pair = 0; pair < turned / 2; ++pair) {
            const double exponent = 2.0 * static_cast<double>(pair) / static_cast<double>(turned);
            const double wavelength = 2.0 * std::numbers::pi * std::pow(base_.value_or(10000.0), exponent);
            const double turns = context / wavelength;
            const double t = (turns - low) / (high - low);
            const double divisor = turns > high ? 1.0 : turns < low ? factor_ : 1.0 / ((1.0 - t) / factor_ + t);
            factors.push_back(static_cast<float>(divisor));
        }
        return factors;
    }

private:
    enum class kind { plain, linear, yarn, llama3, longrope };

    // Of layers with a sliding window. Loaders do not scale these.
    void read_local(const model_config& local) {
        local_base_ = local.require_positive("rope_theta");
        const char* key = local.contains("rope_type") ? "rope_type" : "type";
        if (local.text(key).value_or("default") != "default") refuse_field(local, key, "default or nothing");
    }

    void read_scaling(const model_config& config, std::vector<std::string>& notes) {
        const char* key = scaling_->contains("rope_type") ? "rope_type" : "type";
        const std::string type = scaling_->text(key).value_or("default");
        static_cast<void>(scaling_->value("type"));  // older files have both names
        const bool has_long = style_ == rope_style::long_and_short;
        // "dynamic" starts beyond the context of the model and has no counterpart in GGUF.
        if (type == "default" || type == "dynamic")
            return;
        else if (type == "linear" && !has_long)
            type_ = kind::linear;
        else if (type == "yarn")
            type_ = kind::yarn;
        else if (type == "llama3" && style_ == rope_style::with_factors)
            type_ = kind::llama3;
        else if ((type == "longrope" || type == "su") && has_long)
            type_ = kind::longrope;
        else
            scaling_->reject(key, "wanted default, dynamic, ", has_long ? "longrope, su" : "linear",
                             style_ == rope_style::with_factors ? ", llama3" : "", " or yarn, got ", type);
        if (has_long) {
            read_factors(config);
        } else {
            factor_ = scaling_->require_positive("factor");
        }
        if (type_ == kind::yarn) read_yarn(notes);
        if (type_ == kind::llama3) static_cast<void>(frequency_factors(0));
        if (has_long) static_cast<void>(scaling_->value("factor"));  // given by the contexts
        for (const char* list : {"long_factor", "short_factor"})
            if (has_long) static_cast<void>(scaling_->value(list));
        // Nothing here is bookkeeping: what nobody has asked for would change the angles.
        for (const char* harmless : {"mrope_interleaved", "finetuned"}) static_cast<void>(scaling_->value(harmless));
        for (const std::string& unknown : scaling_->unread())
            scaling_->reject(unknown, "wanted nothing of this name with type ", type, ", got ",
                             scaling_->shown(unknown));
    }

    // What loaders of GGUF pass over: they have 32 and 1 turns as the ends of the ramp, and whole pairs.
    void read_yarn(std::vector<std::string>& notes) {
        const auto note = [&](const char* key, const char* assumed) {
            notes.push_back(
                concat("rope_scaling.", key, " ", scaling_->shown(key), ": loaders of GGUF compute as with ", assumed));
        };
        if (scaling_->number("beta_fast").value_or(32.0) != 32.0) note("beta_fast", "32");
        if (scaling_->number("beta_slow").value_or(1.0) != 1.0) note("beta_slow", "1");
        if (!scaling_->flag("truncate").value_or(true)) note("truncate", "true");
        if (scaling_->number("extrapolation_factor").value_or(1.0) != 1.0)
            refuse_field(*scaling_, "extrapolation_factor", "1");
        static_cast<void>(attention_factor());
        if (style_ != rope_style::latent) return;
        // Loaders multiply queries and keys as mscale_all_dim says, and leave the rotation as it is.
        const double all = scaling_->require_positive("mscale_all_dim");
        if (scaling_->number("mscale").value_or(0.0) != all)
            scaling_->reject("mscale", "wanted mscale_all_dim, ", all, ", got ", scaling_->shown("mscale"));
        if (scaling_->contains("attention_factor")) refuse_field(*scaling_, "attention_factor", "nothing");
    }

    // Phi-3's scaling is given by how much longer the context has become.
    void read_factors(const model_config& config) {
        if (!original_context_ || *original_context_ < 2)
            config.reject("original_max_position_embeddings", "wanted an integer from 2 on, got nothing that will do");
        factor_ = static_cast<double>(context_) / static_cast<double>(*original_context_);
    }

    [[nodiscard]] double yarn_growth(double weight) const {
        return factor_ <= 1.0 ? 1.0 : 0.1 * weight * std::log(factor_) + 1.0;
    }

    // What rotated numbers are multiplied with.
    [[nodiscard]] double attention_factor() const {
        if (scaling_->contains("attention_factor")) return scaling_->require_positive("attention_factor");
        if (type_ == kind::longrope)
            return factor_ <= 1.0
                       ? 1.0
                       : std::sqrt(1.0 + std::log(factor_) / std::log(static_cast<double>(*original_context_)));
        const double own = scaling_->number("mscale").value_or(0.0);
        const double all = scaling_->number("mscale_all_dim").value_or(0.0);
        return own != 0.0 && all != 0.0 ? yarn_growth(own) / yarn_growth(all) : yarn_growth(1.0);
    }

    std::vector<float> listed_factors(std::string_view key, std::uint64_t turned) const {
        if (style_ != rope_style::long_and_short || type_ == kind::plain) return {};
        const std::vector<double> factors = scaling_->positive_numbers(key);
        if (factors.size() != turned / 2)
            scaling_->reject(key, "wanted ", turned / 2, " numbers, got ", factors.size());
        std::vector<float> floats;
        for (const double factor : factors) floats.push_back(static_cast<float>(factor));
        return floats;
    }

    rope_style style_;
    kind type_ = kind::plain;
    std::optional<double> base_;
    std::optional<double> local_base_;  // of layers with a sliding window
    double factor_ = 1.0;
    std::uint64_t context_ = 0;
    std::optional<std::uint64_t> original_context_;
    std::vector<std::uint64_t> sections_;
    std::optional<model_config> scaling_;
};

}  // namespace tessera::huggingface
