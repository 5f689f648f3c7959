// Typed access to the JSON files of a Hugging Face model directory.
#pragma once

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "tessera/core/error.hpp"
#include "tessera/json/parse.hpp"
#include "tessera/json/text.hpp"

namespace tessera::huggingface {

/// An object of config.json or a file like it. Keys with the value null count as absent, as they do for transformers.
/// Every function throws tessera::error naming file and key when a value is not of the type asked for. The object keeps
/// in mind which keys have been asked for, so that what nobody understands can be told.
class model_config {
public:
    explicit model_config(const std::filesystem::path& file)
        : model_config(load_json(file, {.numbers = json_numbers::as_python}), file.string() + ": ") {}

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
    /// As number, but a string of digits will do, too.
    [[nodiscard]] std::optional<double> number_or_digits(std::string_view key) const {
        const nlohmann::json* value = find(key);
        if (value == nullptr || !value->is_string()) return number(key);
        const auto& text = value->get_ref<const std::string&>();
        double parsed = 0.0;
        const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), parsed);
        if (problem != std::errc() || end != text.data() + text.size() ||
            !(std::abs(parsed) <= double{std::numeric_limits<float>::max()}))
            wrong(key, "a number that a float can hold", *value);
        return parsed;
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
    [[nodiscard]] std::optional<model_config> object(std::string_view key) const {
        const nlohmann::json* value = find(key);
        if (value == nullptr) return std::nullopt;
        if (!value->is_object()) wrong(key, "an object", *value);
        return model_config(*value, concat(where_, key, "."));  // with a memory of its own of what is read
    }

    /// This object with the values of another one laid over it. Precondition: `part` comes out of it, so that messages
    /// name the same file.
    [[nodiscard]] model_config overlaid_with(const model_config& part) const {
        model_config merged = *this;
        for (const auto& [name, value] : part.json_.items())
            if (!value.is_null()) merged.json_[name] = value;
        return merged;
    }
    /// This object with the values of `defaults`, a JSON object, for keys that it lacks. Precondition: it is valid
    /// JSON.
    [[nodiscard]] model_config completed_with(std::string_view defaults) const {
        model_config completed = *this;
        const nlohmann::json values = nlohmann::json::parse(defaults);
        for (const auto& [key, value] : values.items())
            if (look_up(key) == nullptr) {
                completed.json_[key] = value;
                completed.read_->insert(key);  // not the file's own
            }
        return completed;
    }
    /// Without the value of a key.
    void erase(std::string_view key) { json_.erase(std::string(key)); }
    void set(std::string_view key, nlohmann::json value) { json_[std::string(key)] = std::move(value); }

    /// The value of a key as it is, or null.
    [[nodiscard]] const nlohmann::json* value(std::string_view key) const { return find(key); }
    /// True when the value of `key` is in `values`, a JSON list. Numbers are equal when their values are.
    [[nodiscard]] bool is_one_of(std::string_view key, std::string_view values) const {
        const nlohmann::json* own = find(key);
        const nlohmann::json list = nlohmann::json::parse(values);
        if (own == nullptr) return false;
        for (const nlohmann::json& value : list)
            if (value == *own) return true;
        return false;
    }
    /// A value as messages show it.
    [[nodiscard]] std::string shown(std::string_view key) const {
        const nlohmann::json* own = look_up(key);
        if (own == nullptr) return "nothing";
        std::string text = printed(*own);
        return text.size() > 100 ? text.substr(0, 100) + "..." : text;
    }

    /// All keys.
    [[nodiscard]] std::vector<std::string> keys() const {
        std::vector<std::string> names;
        for (const auto& [key, value] : json_.items()) names.push_back(key);
        return names;
    }
    /// The keys that hold something here and something else in `part`.
    [[nodiscard]] std::vector<std::string> differences(const model_config& part) const {
        std::vector<std::string> names;
        for (const auto& [key, value] : json_.items())
            if (const nlohmann::json* other = part.look_up(key);
                other != nullptr && !value.is_null() && *other != value)
                names.push_back(key);
        return names;
    }
    /// The keys that hold something nobody has asked for, in this object or in another one with keys of the same names
    /// that was made from it.
    [[nodiscard]] std::vector<std::string> unread() const {
        std::vector<std::string> keys;
        for (const auto& [key, value] : json_.items())
            if (!value.is_null() && !read_->contains(key)) keys.push_back(key);
        return keys;
    }

    /// Throws: `key` is there and has the right type, but its value will not do. `parts` say what was wanted and got.
    template <class... Parts>
    [[noreturn]] void reject(std::string_view key, const Parts&... parts) const {
        fail(where_, key, ": ", parts...);
    }

    static constexpr std::uint64_t default_limit = std::numeric_limits<std::uint32_t>::max();

private:
    model_config(nlohmann::json json, std::string where) : json_(std::move(json)), where_(std::move(where)) {
        if (!json_.is_object()) fail(where_, "wanted an object, got ", json_.type_name());
    }

    // In ASCII alone: what a file says must not move the cursor of whoever reads a message.
    static std::string printed(const nlohmann::json& value) { return json_text(value, json_characters::ascii); }

    const nlohmann::json* find(std::string_view key) const {
        read_->insert(std::string(key));
        return look_up(key);
    }
    const nlohmann::json* look_up(std::string_view key) const {
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
             got.is_structured() ? got.type_name() : printed(got).substr(0, 100));
    }

    nlohmann::json json_;
    std::string where_;                                          // "config.json: rope_scaling."
    std::shared_ptr<std::set<std::string, std::less<>>> read_ =  // keys that were asked for; shared with copies
        std::make_shared<std::set<std::string, std::less<>>>();
};

}  // namespace tessera::huggingface
