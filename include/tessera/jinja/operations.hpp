// Truth, equality, order, membership and arithmetic, as Python has them.
#pragma once

#include <algorithm>
#include <cmath>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "tessera/core/text_search.hpp"
#include "tessera/jinja/object.hpp"
#include "tessera/jinja/runtime.hpp"
#include "tessera/jinja/unicode.hpp"
#include "tessera/jinja/value.hpp"

namespace tessera::jinja {

/// The name of a value's type in Python.
[[nodiscard]] inline std::string_view type_name(const value& v) {
    if (v.is<undefined>()) return "Undefined";
    if (v.is<none>()) return "NoneType";
    if (v.is<bool>()) return "bool";
    if (v.is<std::int64_t>()) return "int";
    if (v.is<double>()) return "float";
    if (v.is<string>()) return "str";
    if (const sequence* items = v.as_sequence())
        return items->kind == sequence_kind::list    ? "list"
               : items->kind == sequence_kind::tuple ? "tuple"
                                                     : "generator";
    if (v.as_mapping() != nullptr) return "dict";
    return v.as_object()->type_name();
}

/// Fails when a value is undefined; otherwise hands it back.
inline const value& defined(const runtime& run, const value& v) {
    if (const auto* nothing = v.get<undefined>()) run.fail(nothing->reason);
    return v;
}

/// Whether `if` takes a value as true.
[[nodiscard]] inline bool is_true(const value& v) {
    if (v.is<undefined>() || v.is<none>()) return false;
    if (const auto* truth = v.get<bool>()) return *truth;
    if (const auto* number = v.get<std::int64_t>()) return *number != 0;
    if (const auto* number = v.get<double>()) return *number != 0.0;
    if (v.is<string>()) return !v.text().empty();
    if (const sequence* items = v.as_sequence())
        return items->kind == sequence_kind::generator || !items->items.empty();
    if (const mapping* entries = v.as_mapping()) return !entries->entries.empty();
    return true;
}

/// An integer, or a truth value as one.
[[nodiscard]] inline std::optional<std::int64_t> as_integer(const value& v) {
    if (const auto* truth = v.get<bool>()) return *truth ? 1 : 0;
    if (const auto* number = v.get<std::int64_t>()) return *number;
    return std::nullopt;
}
/// Any number as floating point.
[[nodiscard]] inline std::optional<double> as_float(const value& v) {
    if (const auto* number = v.get<double>()) return *number;
    if (const auto number = as_integer(v)) return static_cast<double>(*number);
    return std::nullopt;
}

/// Python's ==. Never fails but for the depth of values that contain themselves.
[[nodiscard]] inline bool is_equal(runtime& run, const value& a, const value& b, std::size_t depth = 0) {
    run.spend(1);
    run.check_depth(depth);
    if (const auto x = as_integer(a), y = as_integer(b); x && y) return *x == *y;
    if (const auto x = as_float(a), y = as_float(b); x && y) return *x == *y;
    if (a.is<string>() && b.is<string>()) {
        if (a.text().size() != b.text().size()) return false;
        run.spend(a.text().size() / 16);
        return a.text() == b.text();
    }
    if (const sequence *x = a.as_sequence(), *y = b.as_sequence(); x != nullptr && y != nullptr) {
        if (x == y) return true;
        if (x->kind != y->kind || x->kind == sequence_kind::generator || x->items.size() != y->items.size())
            return false;
        for (std::size_t i = 0; i < x->items.size(); ++i)
            if (!is_equal(run, x->items[i], y->items[i], depth + 1)) return false;
        return true;
    }
    if (const mapping *x = a.as_mapping(), *y = b.as_mapping(); x != nullptr && y != nullptr) {
        if (x == y) return true;
        if (x->entries.size() != y->entries.size()) return false;
        for (const auto& [key, item] : x->entries) {
            bool is_same = false;
            for (const auto& [other_key, other] : y->entries)
                if (is_equal(run, key, other_key, depth + 1)) is_same = is_equal(run, item, other, depth + 1);
            if (!is_same) return false;
        }
        return true;
    }
    if (a.as_object() != nullptr || b.as_object() != nullptr) return a.as_object() == b.as_object();
    return (a.is<none>() && b.is<none>()) || (a.is<undefined>() && b.is<undefined>());
}

/// What it costs at most to look for a key of that many bytes.
[[nodiscard]] inline std::size_t cost_of_look_up(const mapping& where, std::size_t key_bytes) noexcept {
    return 1 + key_bytes / 16 + where.entries.size() / 8 + where.entries.size() * (key_bytes / 64);
}

/// The value of a key, or null.
[[nodiscard]] inline value* find(runtime& run, mapping& where, const value& key) {
    run.spend(cost_of_look_up(where, key.text().size()));
    if (key.is<string>()) {  // the common case, without the ceremony
        for (auto& [name, item] : where.entries)
            if (name.is<string>() && name.text() == key.text()) return &item;
        return nullptr;
    }
    for (auto& [name, item] : where.entries)
        if (is_equal(run, name, key)) return &item;
    return nullptr;
}
[[nodiscard]] inline value* find(runtime& run, mapping& where, std::string_view key) {
    run.spend(cost_of_look_up(where, key.size()));
    for (auto& [name, item] : where.entries)
        if (name.text() == key && name.is<string>()) return &item;
    return nullptr;
}

/// Sets a key's value, at the end when it is new. Fails for keys that Python cannot hash.
inline void assign(runtime& run, mapping& where, const value& key, value item) {
    if (const sequence* items = key.as_sequence();
        key.as_mapping() != nullptr || (items && items->kind == sequence_kind::list))
        run.fail("wanted a key that can be hashed, got a ", type_name(key));
    if (value* old = find(run, where, key))
        *old = std::move(item);
    else
        where.entries.emplace_back(key, std::move(item));
}

/// The elements of a value as a loop sees them: of a string the characters, of a mapping the keys. Empties a generator.
[[nodiscard]] inline std::vector<value> elements(runtime& run, const value& v) {
    std::vector<value> items;
    if (v.is<undefined>()) return items;
    if (sequence* from = v.as_sequence()) {
        run.spend_elements(from->items.size());
        return from->kind == sequence_kind::generator ? std::exchange(from->items, {}) : from->items;
    }
    if (const mapping* from = v.as_mapping()) {
        run.spend_elements(from->entries.size());
        for (const auto& [key, item] : from->entries) items.push_back(key);
        return items;
    }
    if (!v.is<string>()) run.fail("'", type_name(v), "' object is not iterable");
    run.spend_elements(3 * v.text().size());
    for_each_character(v.text(), [&](std::string_view c) { items.emplace_back(c); });
    return items;
}

/// Python's len.
[[nodiscard]] inline std::int64_t length(runtime& run, const value& v) {
    if (v.is<undefined>()) return 0;
    if (v.is<string>()) {
        run.spend(v.text().size() / 4);
        return static_cast<std::int64_t>(length_of(v.text()));
    }
    if (const sequence* items = v.as_sequence(); items && items->kind != sequence_kind::generator)
        return static_cast<std::int64_t>(items->items.size());
    if (const mapping* entries = v.as_mapping()) return static_cast<std::int64_t>(entries->entries.size());
    run.fail("object of type '", type_name(v), "' has no len()");
}

/// Python's `item in container`.
[[nodiscard]] inline bool contains(runtime& run, const value& container, const value& item) {
    if (container.is<string>()) {
        if (!defined(run, item).is<string>())
            run.fail("'in <string>' requires string as left operand, not ", type_name(item));
        if (item.text().size() > container.text().size()) return false;
        run.spend(container.text().size() + 4 * item.text().size());
        return text_search(item.text())(container.text()) != std::string_view::npos;
    }
    if (mapping* entries = container.as_mapping()) return find(run, *entries, item) != nullptr;
    if (!container.is<undefined>() && container.as_sequence() == nullptr)
        run.fail("argument of type '", type_name(container), "' is not iterable");
    if (const sequence* items = container.as_sequence(); items != nullptr && items->kind != sequence_kind::generator) {
        for (const value& other : items->items)
            if (is_equal(run, other, item)) return true;
        return false;
    }
    for (const value& other : elements(run, container))
        if (is_equal(run, other, item)) return true;
    return false;
}

/// Python's order of numbers, of strings and of lists. Fails for anything else; `sign` names the operator.
[[nodiscard]] inline std::partial_ordering compare(runtime& run, const value& a, const value& b, std::string_view sign,
                                                   std::size_t depth = 0) {
    run.spend(1);
    run.check_depth(depth);
    defined(run, a);
    defined(run, b);
    if (const auto x = as_integer(a), y = as_integer(b); x && y) return *x <=> *y;
    if (const auto x = as_float(a), y = as_float(b); x && y) return *x <=> *y;
    if (a.is<string>() && b.is<string>()) {
        run.spend(std::min(a.text().size(), b.text().size()) / 16);
        return a.text().compare(b.text()) <=> 0;
    }
    if (const sequence *x = a.as_sequence(), *y = b.as_sequence();
        x && y && x->kind == y->kind && x->kind != sequence_kind::generator) {
        for (std::size_t i = 0; i < x->items.size() && i < y->items.size(); ++i)
            if (!is_equal(run, x->items[i], y->items[i], depth + 1))
                return compare(run, x->items[i], y->items[i], sign, depth + 1);
        return x->items.size() <=> y->items.size();
    }
    run.fail("'", sign, "' not supported between instances of '", type_name(a), "' and '", type_name(b), "'");
}

}  // namespace tessera::jinja
