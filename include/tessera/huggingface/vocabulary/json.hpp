// JSON files of a Hugging Face model directory, read with suspicion.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

#include "tessera/core/bytes.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/foreign_file.hpp"
#include "tessera/json/parse.hpp"
#include "tessera/text/text_file.hpp"

namespace tessera::huggingface {

using json = nlohmann::json;

/// Tokens in a vocabulary at most, far above any real one: numbers in files cannot make us allocate without bounds.
inline constexpr std::uint64_t max_vocabulary_size = std::uint64_t{1} << 24;

/// Parses a whole file, as Python would. Throws tessera::error naming the file when it cannot be read, is malformed or
/// nests too deeply.
[[nodiscard]] inline json read_json(const std::filesystem::path& path) {
    const text::text_file file(path);
    refuse_foreign(as_byte_view(std::span(file.text())), path.string(), "JSON");
    return parse_json(file.text(), path.string(),
                      {.numbers = json_numbers::as_python, .keys = repeated_keys::last_counts});
}

/// As read_json for a file that must be an object; without the file, an empty one.
[[nodiscard]] inline json read_json_object_if_there(const std::filesystem::path& path) {
    if (!std::filesystem::exists(path)) return json::object();
    json content = read_json(path);
    if (!content.is_object()) fail(path.string(), ": wanted an object, got ", content.type_name());
    return content;
}

/// A token's number: an integer below max_vocabulary_size, or nothing when the value is anything else.
[[nodiscard]] inline std::optional<std::size_t> as_id(const json& value) {
    if (!value.is_number_unsigned() || value.get<std::uint64_t>() >= max_vocabulary_size) return std::nullopt;
    return value.get<std::size_t>();
}

/// A value in a JSON file together with the way to it, so that every complaint says what it is about.
class json_value {
public:
    json_value(const json& value, std::string where) : value_(&value), where_(std::move(where)) {}

    [[nodiscard]] const json& get() const noexcept { return *value_; }
    [[nodiscard]] const std::string& where() const noexcept { return where_; }

    /// The member `key` of an object; nothing when it is absent or null. Throws when this is no object.
    [[nodiscard]] std::optional<json_value> find(std::string_view key) const {
        if (!value_->is_object()) mismatch("an object");
        const auto found = value_->find(key);
        if (found == value_->end() || found->is_null()) return std::nullopt;
        return json_value(*found, concat(where_, where_.ends_with(": ") ? "" : ".", key));
    }
    /// As find, but an absent member throws.
    [[nodiscard]] json_value at(std::string_view key) const {
        auto member = find(key);
        if (!member) fail(where_, where_.ends_with(": ") ? "" : ": ", "wanted a key ", key, ", got none");
        return *std::move(member);
    }
    /// The element `i` of an array that has it.
    [[nodiscard]] json_value element(std::size_t i) const { return {(*value_)[i], concat(where_, "[", i, "]")}; }
    /// Calls visit(json_value) for every element. Throws when this is no array.
    template <class Visit>
    void for_each(Visit&& visit) const {
        if (!value_->is_array()) mismatch("an array");
        for (std::size_t i = 0; i < value_->size(); ++i) visit(element(i));
    }

    [[nodiscard]] const std::string& string() const {
        if (!value_->is_string()) mismatch("a string");
        return value_->get_ref<const std::string&>();
    }
    [[nodiscard]] bool boolean() const {
        if (!value_->is_boolean()) mismatch("true or false");
        return value_->get<bool>();
    }
    [[nodiscard]] std::size_t id() const {
        const auto number = as_id(*value_);
        if (!number) mismatch(concat("a token id below ", max_vocabulary_size));
        return *number;
    }

    /// The string, boolean of a member, or a value to use when it is absent.
    [[nodiscard]] std::string string_or(std::string_view key, std::string_view otherwise) const {
        const auto member = find(key);
        return member ? member->string() : std::string(otherwise);
    }
    [[nodiscard]] bool boolean_or(std::string_view key, bool otherwise) const {
        const auto member = find(key);
        return member ? member->boolean() : otherwise;
    }

    [[noreturn]] void mismatch(std::string_view wanted) const {
        const bool is_scalar = value_->is_number() || value_->is_boolean();
        fail(where_, where_.ends_with(": ") ? "" : ": ", "wanted ", wanted, ", got ",
             is_scalar ? value_->dump() : std::string(value_->type_name()));
    }

private:
    const json* value_;
    std::string where_;  // "path/file.json: " for the root, then "path/file.json: key.key[0]"
};

/// The root of a file's content.
[[nodiscard]] inline json_value root_of(const json& content, const std::filesystem::path& path) {
    return {content, path.string() + ": "};
}

}  // namespace tessera::huggingface
