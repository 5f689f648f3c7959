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

#include "tessera/core/metadata.hpp"
#include "tessera/model/hf_config.hpp"
#include "tessera/model/hf_rules.hpp"

namespace tessera::model {

/// The rotary embedding of a model. Config.json has it in `rope_scaling` and `rope_theta`, or all in `rope_parameters`,
/// there perhaps once for each kind of layer.
class hf_rope {
public:
    /// Throws naming the key when a value is missing or out of range, or GGUF has no counterpart to the type in models
    /// of this style.
    hf_rope(const hf_config& config, hf_rope_style style) : style_(style) {
        if (style == hf_rope_style::none) return;
        read_original_context(config);
        context_ = config.require_count("max_position_embeddings");
        scaling_ = config.object("rope_scaling");
        if (!scaling_) scaling_ = config.object("rope_parameters");
        if (config.contains("rope_local_base_freq")) local_base_ = config.require_positive("rope_local_base_freq");
        if (scaling_)
            if (const auto local = scaling_->object("sliding_attention"))
                local_base_ = local->require_positive("rope_theta");
        if (scaling_)
            if (const auto full = scaling_->object("full_attention")) scaling_ = full;
        if (scaling_ && scaling_->contains("rope_theta"))
            base_ = scaling_->require_positive("rope_theta");
        else if (config.contains("rope_theta"))
            base_ = config.require_positive("rope_theta");
        sections_ = (scaling_ && scaling_->contains("mrope_section") ? *scaling_ : config).counts("mrope_section");
        if (!scaling_) return;

        const char* key = scaling_->contains("rope_type") ? "rope_type" : "type";
        const std::string type = scaling_->text(key).value_or("default");
        const bool has_long = style == hf_rope_style::long_and_short;
        // "dynamic" starts beyond the context of the model and has no counterpart in GGUF.
        if (type == "default" || type == "dynamic")
            type_ = kind::plain;
        else if (type == "linear" && !has_long)
            type_ = kind::linear;
        else if (type == "yarn")
            type_ = kind::yarn;
        else if (type == "llama3" && style == hf_rope_style::with_factors)
            type_ = kind::llama3;
        else if ((type == "longrope" || type == "su") && has_long)
            type_ = kind::longrope;
        else
            scaling_->reject(key, "wanted default, dynamic, ", has_long ? "longrope, su" : "linear",
                             style == hf_rope_style::with_factors ? ", llama3" : "", " or yarn, got ", type);
        read_original_context(*scaling_);  // more often here than beside it
        if (type_ == kind::longrope || (type_ == kind::yarn && has_long))
            read_factors(config);
        else if (type_ != kind::plain)
            factor_ = scaling_->require_positive("factor");
    }

    /// Sets the keys of rotary embedding, each behind `prefix` ("llama.").
    void write(metadata& properties, const std::string& prefix) const {
        const auto set = [&](const char* key, auto value) { properties.set(prefix + "rope." + key, value); };
        if (base_) set("freq_base", static_cast<float>(*base_));
        if (local_base_) set("freq_base_swa", static_cast<float>(*local_base_));
        if (!sections_.empty()) {
            std::vector<std::int32_t> sections(4);
            for (std::size_t i = 0; i < std::min<std::size_t>(4, sections_.size()); ++i)
                sections[i] = static_cast<std::int32_t>(sections_[i]);
            set("dimension_sections", std::move(sections));
        }
        if (style_ == hf_rope_style::long_and_short) {  // the loader tells the type from the factors
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
        if (const auto all = scaling_->number("mscale_all_dim"))
            set("scaling.yarn_log_multiplier", static_cast<float>(0.1 * *all));
        for (const auto& [gguf, config] :
             {std::pair("scaling.yarn_ext_factor", "extrapolation_factor"),
              std::pair("scaling.yarn_attn_factor", "attention_factor"),
              std::pair("scaling.yarn_beta_fast", "beta_fast"), std::pair("scaling.yarn_beta_slow", "beta_slow")})
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
    /// the original context stay, those beyond it get the factor, those between are interpolated.
    [[nodiscard]] std::vector<float> frequency_factors(std::uint64_t turned) const {
        if (type_ != kind::llama3) return {};
        const double low = scaling_->require_positive("low_freq_factor");
        const double high = scaling_->require_positive("high_freq_factor");
        if (high <= low)
            scaling_->reject("high_freq_factor", "wanted more than low_freq_factor, ", low, ", got ", high);
        const auto context = static_cast<double>(original_context_.value_or(8192));

        std::vector<float> factors;
        for (std::uint64_t pair = 0; pair < turned / 2; ++pair) {
            const double exponent = 2.0 * static_cast<double>(pair) / static_cast<double>(turned);
            const double wavelength = 2.0 * std::numbers::pi * std::pow(base_.value_or(10000.0), exponent);
            const double t = (context / wavelength - low) / (high - low);
            const double divisor = t > 1.0 ? 1.0 : t < 0.0 ? factor_ : 1.0 / ((1.0 - t) / factor_ + t);
            factors.push_back(static_cast<float>(divisor));
        }
        return factors;
    }

private:
    enum class kind { plain, linear, yarn, llama3, longrope };

    void read_original_context(const hf_config& config) {
        constexpr const char* key = "original_max_position_embeddings";
        if (config.contains(key)) original_context_ = config.require_count(key);
    }

    // Phi-3's scaling is given by how much longer the context has become.
    void read_factors(const hf_config& config) {
        if (!original_context_ || *original_context_ < 2)
            config.reject("original_max_position_embeddings", "wanted an integer from 2 on, got nothing that will do");
        factor_ = static_cast<double>(context_) / static_cast<double>(*original_context_);
    }

    double attention_factor() const {
        if (factor_ <= 1.0) return 1.0;
        if (type_ == kind::yarn) return 0.1 * std::log(factor_) + 1.0;
        return std::sqrt(1.0 + std::log(factor_) / std::log(static_cast<double>(*original_context_)));
    }

    std::vector<float> listed_factors(std::string_view key, std::uint64_t turned) const {
        if (style_ != hf_rope_style::long_and_short || type_ == kind::plain) return {};
        const std::vector<double> factors = scaling_->positive_numbers(key);
        if (factors.size() != turned / 2)
            scaling_->reject(key, "wanted ", turned / 2, " numbers, got ", factors.size());
        std::vector<float> floats;
        for (const double factor : factors) floats.push_back(static_cast<float>(factor));
        return floats;
    }

    hf_rope_style style_;
    kind type_ = kind::plain;
    std::optional<double> base_;
    std::optional<double> local_base_;  // of layers with a sliding window
    double factor_ = 1.0;
    std::uint64_t context_ = 0;
    std::optional<std::uint64_t> original_context_;
    std::vector<std::uint64_t> sections_;
    std::optional<hf_config> scaling_;
};

}  // namespace tessera::model
