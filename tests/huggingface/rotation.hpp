// Rotary embedding as transformers computes it from config.json.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numbers>
#include <string>

#include <nlohmann/json.hpp>

#include "decoder/plain_math.hpp"

namespace support {

/// A number of an object, or `otherwise` where it has none.
inline double number_or(const nlohmann::json& from, const char* key, double otherwise) {
    return from.contains(key) && from[key].is_number() ? from[key].get<double>() : otherwise;
}

/// What pairs of a head are turned by: position x frequency.
struct plain_rotation {
    enum class pairs { halves, neighbours };  ///< (i, i + dims/2), or (2i, 2i+1)
    enum class context { within_original, beyond_original };

    numbers frequencies;
    double magnitude = 1;  ///< multiplies every turned number

    /// The unscaled one.
    plain_rotation(std::size_t dims, double base) {
        for (std::size_t i = 0; i < dims / 2; ++i)
            frequencies.push_back(std::pow(base, -2.0 * static_cast<double>(i) / static_cast<double>(dims)));
    }

    /// What `rope_scaling` or `rope_parameters` says. `length` matters to longrope alone.
    plain_rotation(std::size_t dims, const nlohmann::json& config, context length) {
        nlohmann::json scaling;
        for (const char* key : {"rope_scaling", "rope_parameters"})
            if (config.contains(key) && config[key].is_object()) scaling = config[key];
        const double base = number_or(scaling, "rope_theta", number_or(config, "rope_theta", 10000));
        *this = plain_rotation(dims, base);
        if (scaling.is_null()) return;
        const std::string type = scaling.value("rope_type", scaling.value("type", "default"));
        const double factor = number_or(scaling, "factor", 1);
        const double original = number_or(scaling, "original_max_position_embeddings",
                                          number_or(config, "original_max_position_embeddings", 0));
        if (type == "linear") frequencies = scaled(frequencies, 1 / factor);
        if (type == "llama3") {
            const double low = scaling["low_freq_factor"], high = scaling["high_freq_factor"];
            for (double& f : frequencies) {
                const double turns = original * f / (2 * std::numbers::pi);
                const double kept = std::clamp((turns - low) / (high - low), 0.0, 1.0);
                f = (1 - kept) * f / factor + kept * f;
            }
        }
        if (type == "yarn") {
            // gpt-oss does not round the corners in transformers; every loader of GGUF does.
            const auto corner = [&](double turns) {
                return static_cast<double>(dims) * std::log(original / (turns * 2 * std::numbers::pi)) /
                       (2 * std::log(base));
            };
            const double low = std::max(0.0, std::floor(corner(32)));
            const double high = std::min(static_cast<double>(dims) - 1, std::ceil(corner(1)));
            for (std::size_t i = 0; i < frequencies.size(); ++i) {
                const double ramp = std::clamp((static_cast<double>(i) - low) / std::max(0.001, high - low), 0.0, 1.0);
                frequencies[i] *= ramp / factor + 1 - ramp;
            }
            const auto growth = [&](double weight) { return 0.1 * weight * std::log(factor) + 1; };
            const double weight = number_or(scaling, "mscale", 1);
            magnitude = growth(weight) / growth(number_or(scaling, "mscale_all_dim", 0));
        }
        if (type == "longrope") {
            const auto factors =
                scaling[length == context::within_original ? "short_factor" : "long_factor"].get<numbers>();
            for (std::size_t i = 0; i < frequencies.size(); ++i) frequencies[i] /= factors[i];
            const double stretched = number_or(config, "max_position_embeddings", 0) / original;
            magnitude = std::sqrt(1 + std::log(stretched) / std::log(original));
        }
    }

    /// Turns the head's numbers from `first` on.
    void turn(numbers& x, std::size_t first, std::size_t position, pairs which) const {
        const std::size_t half = frequencies.size();
        for (std::size_t i = 0; i < half; ++i) {
            double& a = x[first + (which == pairs::halves ? i : 2 * i)];
            double& b = x[first + (which == pairs::halves ? i + half : 2 * i + 1)];
            const double angle = static_cast<double>(position) * frequencies[i];
            const double c = magnitude * std::cos(angle), s = magnitude * std::sin(angle);
            const double turned = a * c - b * s;
            b = a * s + b * c;
            a = turned;
        }
    }
};

}  // namespace support
