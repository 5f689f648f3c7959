// Typed access to the JSON files of a Hugging Face model directory.
#pragma once

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "tessera/core/error.hpp"
#include "tessera/safetensors/json.hpp"

namespace tessera::model {

/// An object of config.json or a file like it. Keys with the value null count as absent, as they do for transformers.
/// Every function throws tessera::error naming file and key when a value is not of the type asked for.
class hf_config {
public:
    explicit hf_config(const std::filesystem::path& file)
        : hf_config(safetensors::load_json(file), file.string() + ": ") {}

    [[nodiscard]] bool contains(std::string_view key) const { return find(key) != nullptr; }

    /// A number of things: an integer from 0 to `limit`.
    [[nodiscard]] std::optional<std::uint64_t> count(std::string_view key, std::uint64_t limit = default_limit) const {
        return count_between(key, 0, limit);
    }
    /// As count, but at least 1, and an absent key throws, too.
    [[nodiscard]] std::uint64_t require_count(std::string_view key, std::uint64_t limit = default_limit) const {
        const std::optional<std::uint64_t> value = count_between(key, 1, limit);
        if (!value) fail(where_, key, ": wanted an integer from 1 to ", limit, ", got nothing");
        return *value;
    }

    /// A finite number that is finite as a float, too.
    [[nodiscard]] std::optional<double> number(std::string_view key) const {
        const nlohmann::json* value = find(key);
        if (value == nullptr) return std::nullopt;
        if (!value->is_number() || std::abs(value->get<double>()) > double{std::numeric_limits<float>::max()})
            wrong(key, "a number that a float can hold", *value);
        return value->get<double>();
    }
    /// As number, but positive, and an absent key throws, too.
    [[nodiscard]] double require_positive(std::string_view key) const {
        const std::optional<double> value = number(key);
        if (!value) fail(where_, key, ": wanted a positive number, got nothing");
        if (!(*value > 0)) fail(where_, key, ": wanted a positive number, got ", *value);
        return *value;
    }

    [[nodiscard]] std::optional<bool> flag(std::string_view key) const {
        const nlohmann::json* value = find(key);
        if (value == nullptr) return std::nullopt;
        if (!value->is_boolean()) wrong(key, "true or false", *value);
        return value->get<bool>();
    }

    [[nodiscard]] std::optional<std::string> text(std::string_view key) const {
        const nlohmann::json* value = find(key);
        if (value == nullptr) return std::nullopt;
        if (!value->is_string()) wrong(key, "a string", *value);
        return value->get<std::string>();
    }
    /// A list of strings; empty when the key is absent.
    [[nodiscard]] std::vector<std::string> texts(std::string_view key) const {
        return list<std::string>(key, "a list of strings", [](const nlohmann::json& v) { return v.is_string(); });
    }
    /// A list of integers from 1 on; empty when the key is absent.
    [[nodiscard]] std::vector<std::uint64_t> counts(std::string_view key) const {
        return list<std::uint64_t>(key, "a list of integers from 1 on", [](const nlohmann::json& v) {
            return v.is_number_unsigned() && v.get<std::uint64_t>() >= 1 && v.get<std::uint64_t>() <= default_limit;
        });
    }

    /// A list of finite positive numbers; empty when the key is absent.
    [[nodiscard]] std::vector<double> positive_numbers(std::string_view key) const {
        return list<double>(key, "a list of positive numbers", [](const nlohmann::json& v) {
            return v.is_number() && v.get<double>() > 0 && v.get<double>() <= double{std::numeric_limits<float>::max()};
        });
    }

    /// An object inside this one.
    [[nodiscard]] std::optional<hf_config> object(std::string_view key) const {
        const nlohmann::json* value = find(key);
        if (value == nullptr) return std::nullopt;
        if (!value->is_object()) wrong(key, "an object", *value);
        return hf_config(*value, concat(where_, key, "."));
    }

    /// This object with the object `key` of it laid over it, where there is one: models of text and pictures have what
    /// belongs to the text in "text_config".
    [[nodiscard]] hf_config overlaid_with(std::string_view key) const {
        const nlohmann::json* part = find(key);
        if (part == nullptr) return *this;
        if (!part->is_object()) wrong(key, "an object", *part);
        hf_config merged = *this;
        for (const auto& [name, value] : part->items())
            if (!value.is_null()) merged.json_[name] = value;
        return merged;
    }
    /// This object with the values of `defaults`, a JSON object, for keys that it lacks. Precondition: it is valid
    /// JSON.
    [[nodiscard]] hf_config completed_with(std::string_view defaults) const {
        hf_config completed = *this;
        const nlohmann::json values = nlohmann::json::parse(defaults);
        for (const auto& [key, value] : values.items())
            if (!contains(key)) completed.json_[key] = value;
        return completed;
    }

    /// Throws: `key` is there and has the right type, but its value will not do. `parts` say what was wanted and got.
    template <class... Parts>
    [[noreturn]] void reject(std::string_view key, const Parts&... parts) const {
        fail(where_, key, ": ", parts...);
    }

    static constexpr std::uint64_t default_limit = std::numeric_limits<std::uint32_t>::max();

private:
    hf_config(nlohmann::json json, std::string where) : json_(std::move(json)), where_(std::move(where)) {
        if (!json_.is_object()) fail(where_, "wanted an object, got ", json_.type_name());
    }

    const nlohmann::json* find(std::string_view key) const {
        const auto found = json_.find(std::string(key));
        return found == json_.end() || found->is_null() ? nullptr : &*found;
    }

    std::optional<std::uint64_t> count_between(std::string_view key, std::uint64_t low, std::uint64_t high) const {
        const nlohmann::json* value = find(key);
        if (value == nullptr) return std::nullopt;
        if (!value->is_number_unsigned() || value->get<std::uint64_t>() < low || value->get<std::uint64_t>() > high)
            wrong(key, concat("an integer from ", low, " to ", high), *value);
        return value->get<std::uint64_t>();
    }

    template <class T, class Predicate>
    std::vector<T> list(std::string_view key, std::string_view wanted, Predicate&& is_good) const {
        std::vector<T> values;
        const nlohmann::json* array = find(key);
        if (array == nullptr) return values;
        if (!array->is_array()) wrong(key, wanted, *array);
        for (const nlohmann::json& value : *array) {
            if (!is_good(value)) wrong(key, wanted, value);
            values.push_back(value.get<T>());
        }
        return values;
    }

    [[noreturn]] void wrong(std::string_view key, std::string_view wanted, const nlohmann::json& got) const {
        fail(where_, key, ": wanted ", wanted, ", got ",
             got.is_structured() ? got.type_name() : got.dump().substr(0, 100));
    }

    nlohmann::json json_;
    std::string where_;  // "config.json: rope_scaling."
};

}  // namespace tessera::model
