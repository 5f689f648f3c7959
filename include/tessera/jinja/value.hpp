// What templates compute with: the values of Jinja, which are Python's.
#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "tessera/core/utf8.hpp"

namespace tessera::jinja {

class value;
class object;

/// What a lookup finds that finds nothing. Prints as nothing and iterates as empty; anything else fails with the
/// reason, which is cut short: values are copied often, and names can be of any length.
struct undefined {
    undefined() : undefined("value is undefined") {}
    undefined(std::string_view why) : reason(why.substr(0, valid_utf8_prefix(why.substr(0, longest_reason)))) {}

    static constexpr std::size_t longest_reason = 200;
    std::string reason;
};

struct none {};

/// Immutable UTF-8, shared by its copies.
class string {
public:
    string(std::string text) : text_(std::make_shared<const std::string>(std::move(text))) {}
    [[nodiscard]] std::string_view view() const noexcept { return *text_; }

private:
    std::shared_ptr<const std::string> text_;
};

/// Lists and tuples differ where they are printed and compared; a generator is what most filters on lists give: always
/// true, without a length, and empty once it was iterated over.
enum class sequence_kind { list, tuple, generator };

/// Elements in a row, shared by the values that refer to it.
struct sequence {
    std::vector<value> items;
    sequence_kind kind = sequence_kind::list;
    std::size_t height = 1;  // levels of containers, this one included
};

/// Pairs of key and value in the order they came; keys differ.
struct mapping {
    std::vector<std::pair<value, value>> entries;
    std::size_t height = 1;
};

/// A value of a template. Copies of containers refer to the same container, as in Python.
class value {
public:
    using sequence_ptr = std::shared_ptr<sequence>;
    using mapping_ptr = std::shared_ptr<mapping>;
    using object_ptr = std::shared_ptr<object>;

    value() : data_(undefined{}) {}
    value(undefined nothing) : data_(std::move(nothing)) {}
    value(none nothing) : data_(nothing) {}
    template <std::same_as<bool> Bool>
    value(Bool truth) : data_(truth) {}
    value(std::int64_t number) : data_(number) {}
    value(double number) : data_(number) {}
    value(string text) : data_(std::move(text)) {}
    value(std::string text) : data_(string(std::move(text))) {}
    value(std::string_view text) : value(std::string(text)) {}
    value(sequence_ptr items) : data_(std::move(items)) {}
    value(mapping_ptr entries) : data_(std::move(entries)) {}
    value(object_ptr thing) : data_(std::move(thing)) {}

    /// The value as T, or null when it is something else.
    template <class T>
    [[nodiscard]] const T* get() const noexcept {
        return std::get_if<T>(&data_);
    }
    template <class T>
    [[nodiscard]] bool is() const noexcept {
        return std::holds_alternative<T>(data_);
    }

    /// The text of a string; of anything else nothing.
    [[nodiscard]] std::string_view text() const noexcept {
        const string* s = get<string>();
        return s == nullptr ? std::string_view() : s->view();
    }
    [[nodiscard]] sequence* as_sequence() const noexcept {
        const auto* items = get<sequence_ptr>();
        return items == nullptr ? nullptr : items->get();
    }
    [[nodiscard]] mapping* as_mapping() const noexcept {
        const auto* entries = get<mapping_ptr>();
        return entries == nullptr ? nullptr : entries->get();
    }
    [[nodiscard]] object* as_object() const noexcept {
        const auto* thing = get<object_ptr>();
        return thing == nullptr ? nullptr : thing->get();
    }

    template <class Visitor>
    decltype(auto) visit(Visitor&& visitor) const {
        return std::visit(std::forward<Visitor>(visitor), data_);
    }

private:
    std::variant<undefined, none, bool, std::int64_t, double, string, sequence_ptr, mapping_ptr, object_ptr> data_;
};

/// Levels of containers in a value; 0 when it is none.
[[nodiscard]] std::size_t height(const value& v) noexcept;

/// Values in a row as one value.
[[nodiscard]] inline value make_sequence(std::vector<value> items, sequence_kind kind = sequence_kind::list) {
    std::size_t below = 0;
    for (const value& item : items) below = std::max(below, height(item));
    return std::make_shared<sequence>(sequence{std::move(items), kind, below + 1});
}

/// Entries with different keys as one value.
[[nodiscard]] inline value make_mapping(std::vector<std::pair<value, value>> entries) {
    std::size_t below = 0;
    for (const auto& [key, item] : entries) below = std::max({below, height(key), height(item)});
    return std::make_shared<mapping>(mapping{std::move(entries), below + 1});
}

}  // namespace tessera::jinja
