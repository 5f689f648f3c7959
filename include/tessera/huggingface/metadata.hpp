// GGUF metadata of a Hugging Face model directory, but for the vocabulary.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/core/metadata.hpp"
#include "tessera/huggingface/config.hpp"
#include "tessera/huggingface/dimensions.hpp"
#include "tessera/huggingface/rules.hpp"

namespace tessera::huggingface {

/// What a model is called: the last part of config.json's _name_or_path, else of the directory.
[[nodiscard]] inline std::string model_name(const model_config& config, const std::filesystem::path& directory) {
    const auto last_part = [](const std::filesystem::path& path) {
        const std::filesystem::path normal = path.lexically_normal();
        return (normal.has_filename() ? normal : normal.parent_path()).filename().string();
    };
    const std::string named = last_part(config.text("_name_or_path").value_or(""));
    if (!named.empty() && named != "." && named != "..") return named;
    std::error_code ignored;
    return last_part(std::filesystem::absolute(directory, ignored));
}

/// A count of weights as people say it, to two digits: "2.6M", "8B", "70B".
[[nodiscard]] inline std::string weight_count_text(double weights) {
    constexpr std::array<const char*, 5> units{"", "K", "M", "B", "T"};
    std::size_t unit = 0;
    for (; weights >= 999.5 && unit + 1 < units.size(); ++unit) weights /= 1000.0;
    const double tenths = std::round(weights * 10.0);
    if (tenths >= 100.0 || unit == 0) return std::to_string(std::llround(weights)) + units[unit];
    const auto whole = std::to_string(std::llround(tenths) / 10);
    const auto rest = std::llround(tenths) % 10;
    return whole + (rest == 0 ? "" : "." + std::to_string(rest)) + units[unit];
}

/// general.size_label: the weights in all, or, with experts, "8x7.2B": each expert counted with all that they share.
[[nodiscard]] inline std::string size_label(std::uint64_t shared, std::uint64_t in_experts, std::uint64_t experts) {
    const auto weights = static_cast<double>(shared);
    if (experts == 0) return weight_count_text(weights);
    return std::to_string(experts) + "x" +
           weight_count_text(weights + static_cast<double>(in_experts) / static_cast<double>(experts));
}

/// Sets `prefix` + key for every rule. Throws naming the key when config.json lacks a required one or has a wrong type.
inline void apply_metadata_rules(metadata& properties, const std::string& prefix, const model_config& config,
                                 const model_dimensions& dimensions, metadata_rules rules) {
    using kind = metadata_rule::kind;
    const auto set = [&](const metadata_rule& rule, auto value) {
        properties.set(prefix + std::string(rule.gguf), value);
    };
    for (const metadata_rule& rule : rules) {
        const bool is_required = rule.need == presence::required;
        if (rule.type == kind::size) {
            const std::uint64_t value = dimensions.*rule.dimension;
            if (value == 0 && is_required) config.reject(rule.config, "wanted an integer from 1 on, got nothing");
            if (value != 0) set(rule, static_cast<std::uint32_t>(value));
            continue;
        }
        if (!is_required && !config.contains(rule.config)) continue;
        switch (rule.type) {
            case kind::count:
                set(rule, static_cast<std::uint32_t>(is_required ? config.require_count(rule.config)
                                                                 : config.count(rule.config).value_or(0)));
                break;
            case kind::number: set(rule, static_cast<float>(config.require_positive(rule.config))); break;
            case kind::flag:
                if (config.flag(rule.config).value_or(false)) set(rule, true);
                break;
            case kind::gating: {
                const std::string function = config.text(rule.config).value_or("nothing");
                if (function != "softmax" && function != "sigmoid")
                    config.reject(rule.config, "wanted softmax or sigmoid, got ", function);
                set(rule, std::uint32_t{function == "softmax" ? 1u : 2u});
                break;
            }
            case kind::size: break;  // above
        }
    }
}

/// Sets tokenizer.ggml.*_token_id for the roles that no token has yet, as far as the vocabulary has their texts.
inline void apply_special_tokens(metadata& properties, std::span<const special_token> special_tokens) {
    if (special_tokens.empty()) return;
    const auto tokens = properties.require<std::vector<std::string>>("tokenizer.ggml.tokens");
    for (const special_token& special : special_tokens) {
        std::string key = concat("tokenizer.ggml.", special.role, "_token_id");
        const auto found = std::find(tokens.begin(), tokens.end(), special.text);
        if (!properties.contains(key) && found != tokens.end())
            properties.set(std::move(key), static_cast<std::uint32_t>(found - tokens.begin()));
    }
}

/// Sets general.sampling.*, the sampler's settings that generation_config.json recommends; nothing when it is absent.
/// These are hints: what cannot be read is left out, with a note. Numbers may be written as strings, and -1 for top_k
/// stands for all tokens, as 0 does in GGUF.
inline void apply_sampling(metadata& properties, const std::filesystem::path& directory,
                           std::vector<std::string>& notes) {
    const std::filesystem::path file = directory / "generation_config.json";
    if (std::error_code ignored; !std::filesystem::exists(file, ignored)) return;
    const auto hint = [&](auto&& set) {
        try {
            set();
        } catch (const error& problem) {
            notes.push_back(concat(problem.what(), " (left out: it is only a hint to samplers)"));
        }
    };
    hint([&] {
        const model_config config(file);
        hint([&] {
            constexpr double most = std::numeric_limits<std::int32_t>::max();
            const auto top_k = config.number_or_digits("top_k");
            if (!top_k) return;
            if (*top_k != std::floor(*top_k) || *top_k < -1 || *top_k > most)
                config.reject("top_k", "wanted an integer from -1 to ", std::int32_t(most), ", got ",
                              config.shown("top_k"));
            properties.set("general.sampling.top_k", static_cast<std::int32_t>(std::max(*top_k, 0.0)));
        });
        for (const auto& [key, gguf] :
             {std::pair("top_p", "top_p"), std::pair("min_p", "min_p"), std::pair("temperature", "temp"),
              std::pair("repetition_penalty", "penalty_repeat")})
            hint([&, key = key, gguf = gguf] {
                if (const auto value = config.number_or_digits(key))
                    properties.set(std::string("general.sampling.") + gguf, static_cast<float>(*value));
            });
    });
}

}  // namespace tessera::huggingface
