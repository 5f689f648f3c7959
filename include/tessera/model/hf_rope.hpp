// Rotary embedding: from config.json to metadata, and to the frequency factors of Llama 3.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numbers>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tessera/core/metadata.hpp"
#include "tessera/model/hf_config.hpp"

namespace tessera::model {

/// The rotary embedding of a model. Config.json has it in `rope_scaling` and `rope_theta`, or all in `rope_parameters`.
class hf_rope {
public:
    /// Throws naming the key when a value is missing or out of range, or the type has no counterpart in GGUF's llama.
    explicit hf_rope(const hf_config& config) {
        read_original_context(config);
        scaling_ = config.object("rope_scaling");
        if (!scaling_) scaling_ = config.object("rope_parameters");
        if (config.contains("rope_theta"))
            base_ = config.require_positive("rope_theta");
        else if (scaling_ && scaling_->contains("rope_theta"))
            base_ = scaling_->require_positive("rope_theta");
        if (!scaling_) return;

        const char* key = scaling_->contains("rope_type") ? "rope_type" : "type";
        const std::string type = scaling_->text(key).value_or("default");
        // "dynamic" starts beyond the context of the model and has no counterpart in GGUF.
        if (type == "default" || type == "dynamic")
            type_ = kind::plain;
        else if (type == "linear")
            type_ = kind::linear;
        else if (type == "yarn")
            type_ = kind::yarn;
        else if (type == "llama3")
            type_ = kind::llama3;
        else
            scaling_->reject(key, "wanted default, dynamic, linear, yarn or llama3, got ", type);
        if (type_ != kind::plain) factor_ = scaling_->require_positive("factor");
        read_original_context(*scaling_);  // more often here than beside it
    }

    /// Sets the keys of rotary embedding, each behind `prefix` ("llama."). `turned` is how many values of a head turn.
    void write(metadata& properties, const std::string& prefix, std::uint64_t turned) const {
        properties.set(prefix + "rope.dimension_count", static_cast<std::uint32_t>(turned));
        if (base_) properties.set(prefix + "rope.freq_base", static_cast<float>(*base_));
        if (type_ != kind::linear && type_ != kind::yarn) return;  // Llama 3's is in the factors alone

        properties.set(prefix + "rope.scaling.type", std::string(type_ == kind::linear ? "linear" : "yarn"));
        properties.set(prefix + "rope.scaling.factor", static_cast<float>(factor_));
        if (type_ == kind::linear) return;
        if (original_context_)
            properties.set(prefix + "rope.scaling.original_context_length",
                           static_cast<std::uint32_t>(*original_context_));
        for (const auto& [gguf, config] :
             {std::pair("yarn_ext_factor", "extrapolation_factor"), std::pair("yarn_attn_factor", "attention_factor"),
              std::pair("yarn_beta_fast", "beta_fast"), std::pair("yarn_beta_slow", "beta_slow")})
            if (const auto value = scaling_->number(config))
                properties.set(prefix + "rope.scaling." + gguf, static_cast<float>(*value));
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
    enum class kind { plain, linear, yarn, llama3 };

    void read_original_context(const hf_config& config) {
        constexpr const char* key = "original_max_position_embeddings";
        if (config.contains(key)) original_context_ = config.require_count(key);
    }

    kind type_ = kind::plain;
    std::optional<double> base_;
    double factor_ = 1.0;
    std::optional<std::uint64_t> original_context_;
    std::optional<hf_config> scaling_;
};

}  // namespace tessera::model
