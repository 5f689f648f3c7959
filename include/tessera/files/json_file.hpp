// What the JSON files of the pipeline share: a kind, a version, the model they belong to, and strict reading.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

#include "tessera/core/error.hpp"
#include "tessera/core/file_version.hpp"
#include "tessera/core/type_id.hpp"
#include "tessera/files/model_identity.hpp"
#include "tessera/json/text.hpp"

namespace tessera::detail {

/// A value inside a JSON text with the way to it, for messages: "plan.json: tensors[3].format".
class json_place {
public:
    json_place(const nlohmann::json& value, std::string where) : value_(&value), where_(std::move(where)) {}

    /// A member of an object. Throws when this is no object or has no such member.
    [[nodiscard]] json_place operator[](std::string_view key) const {
        const nlohmann::json* found = find(key);
        if (found == nullptr) fail(where_, ": wanted the key \"", key, "\", got none");
        return {*found, member(key)};
    }
    [[nodiscard]] bool has(std::string_view key) const { return find(key) != nullptr; }

    /// Calls f(json_place) for every element. Throws when this is no array.
    template <class Function>
    void each(Function&& f) const {
        if (!value_->is_array()) refuse("an array");
        for (std::size_t i = 0; i < value_->size(); ++i)
            f(json_place((*value_)[i], where_ + "[" + std::to_string(i) + "]"));
    }
    /// Calls f(key, json_place) for every member. Throws when this is no object.
    template <class Function>
    void each_member(Function&& f) const {
        if (!value_->is_object()) refuse("an object");
        for (const auto& [key, value] : value_->items()) f(key, json_place(value, member(key)));
    }

    [[nodiscard]] std::string text() const {
        if (!value_->is_string()) refuse("a text");
        return value_->get<std::string>();
    }
    [[nodiscard]] std::uint64_t count() const {
        if (!value_->is_number_unsigned()) refuse("a whole number that is not negative");
        return value_->get<std::uint64_t>();
    }
    /// A finite number that is not negative.
    [[nodiscard]] double amount() const {
        const double number = value_->is_number() ? value_->get<double>() : -1.0;
        if (!(number >= 0.0) || !std::isfinite(number)) refuse("a number that is not negative");
        return number;
    }
    [[nodiscard]] type_layout format(std::span<const type_layout> formats) const {
        return format_named(text(), formats);
    }
    /// The one of `formats` whose name stands here, or in a key of this object.
    [[nodiscard]] type_layout format_named(std::string_view name, std::span<const type_layout> formats) const {
        if (const type_layout* layout = find_layout(formats, name)) return *layout;
        fail(where_, ": wanted one of ", layout_names(formats), ", got ", name);
    }
    [[nodiscard]] const std::string& where() const noexcept { return where_; }

private:
    [[nodiscard]] const nlohmann::json* find(std::string_view key) const {
        if (!value_->is_object()) refuse("an object");
        const auto found = value_->find(key);
        return found == value_->end() ? nullptr : &*found;
    }
    [[nodiscard]] std::string member(std::string_view key) const { return where_ + ": " + std::string(key); }
    [[noreturn]] void refuse(std::string_view wanted) const {
        fail(where_, ": wanted ", wanted, ", got ", tessera::json_text(*value_, json_characters::all).substr(0, 80));
    }

    const nlohmann::json* value_;
    std::string where_;
};

/// Of plans and damage tables. It grows when files change so that the readers of today would take them otherwise; keys
/// that are new, or may be missing, do not count.
inline constexpr std::uint64_t json_file_version = 1;

/// The first keys of a file: what it is and for which model.
[[nodiscard]] inline nlohmann::ordered_json json_file(std::string_view kind, const model_identity& model) {
    return {{"kind", kind},
            {"version", json_file_version},
            {"model", {{"tensors", model.tensors}, {"weights", model.weights}, {"fingerprint", model.fingerprint}}}};
}

/// Throws when a file is of another kind, of a version that is not read, or made for another model.
inline void require_json_file(const json_place& file, std::string_view kind, const model_identity& model) {
    if (const std::string& got = file["kind"].text(); got != kind)
        fail(file.where(), ": wanted a file of the kind \"", kind, "\", got \"", got, "\"");
    require_version(file.where(), file["version"].count(), json_file_version);
    const json_place made_for = file["model"];
    const model_identity got{made_for["tensors"].count(), made_for["weights"].count(), made_for["fingerprint"].text()};
    const auto describe = [](const model_identity& m) {
        return concat(m.tensors, " tensors, ", m.weights, " weights, fingerprint ", m.fingerprint);
    };
    if (got != model) fail(file.where(), ": made for another model: wanted ", describe(model), ", got ", describe(got));
}

/// The text of a file that ends with a list of tensors, one on each line, to be read and edited by hand.
[[nodiscard]] inline std::string json_text(const nlohmann::ordered_json& head, const nlohmann::ordered_json& tensors) {
    std::string text = tessera::json_text(head, json_characters::all, 1);
    text.resize(text.rfind('\n'));  // the closing brace comes last
    text += ",\n \"tensors\": [";
    for (std::size_t t = 0; t < tensors.size(); ++t)
        text += (t ? ",\n  " : "\n  ") + tessera::json_text(tensors[t], json_characters::all);
    return text + "\n ]\n}\n";
}

}  // namespace tessera::detail
