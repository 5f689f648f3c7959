// object.name, object[key] and object[first:last:step].
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tessera/jinja/builtin.hpp"
#include "tessera/jinja/container_methods.hpp"
#include "tessera/jinja/operations.hpp"
#include "tessera/jinja/print.hpp"
#include "tessera/jinja/string_methods.hpp"
#include "tessera/jinja/value.hpp"

namespace tessera::jinja {

namespace detail {

inline std::span<const builtin> methods_of(const value& v) {
    if (v.is<string>()) return string_methods;
    if (v.as_mapping() != nullptr) return mapping_methods;
    const sequence* items = v.as_sequence();
    if (items == nullptr || items->kind == sequence_kind::generator) return {};
    return items->kind == sequence_kind::list ? std::span<const builtin>(list_methods)
                                              : std::span<const builtin>(list_methods).first(2);
}

// "'dict object' has no attribute 'x'", as Jinja words it.
inline undefined missing(const value& v, std::string_view what, std::string_view name) {
    if (v.is<none>()) return {concat("'None' has no ", what, " '", name, "'")};
    return {concat("'", type_name(v), " object' has no ", what, " '", name, "'")};
}

// A method or an attribute, but no element.
inline std::optional<value> find_attribute(runtime& run, const value& v, std::string_view name) {
    if (const builtin* method = find(methods_of(v), name)) return make_object<bound_builtin>(*method, v);
    const object* thing = v.as_object();
    if (thing == nullptr) return std::nullopt;
    value found = thing->attribute(run, name);
    return found.is<undefined>() ? std::nullopt : std::optional(std::move(found));
}

}  // namespace detail

/// v.name: a method or attribute, else the element with that key, else undefined. Fails when v is undefined.
[[nodiscard]] inline value get_attribute(runtime& run, const value& v, std::string_view name) {
    run.spend(1 + name.size() / 8);
    if (auto found = detail::find_attribute(run, defined(run, v), name)) return *std::move(found);
    if (mapping* entries = v.as_mapping())
        if (const value* found = find(run, *entries, name)) return *found;
    return detail::missing(v, "attribute", name);
}

/// v[key]: the element, else (for a string) the method or attribute, else undefined. Fails when v is undefined.
[[nodiscard]] inline value get_item(runtime& run, const value& v, const value& key) {
    run.spend(1 + key.text().size() / 8);
    defined(run, v);
    if (mapping* entries = v.as_mapping()) {
        if (const value* found = find(run, *entries, key)) return *found;
    } else if (const auto index = as_integer(key)) {
        const sequence* items = v.as_sequence();
        if (items && items->kind != sequence_kind::generator) {
            if (const auto at = detail::place_of(*index, items->items.size()); at >= 0)
                return items->items[static_cast<std::size_t>(at)];
        } else if (v.is<string>()) {
            const std::string_view text = v.text();
            run.spend(text.size());
            if (const auto at = detail::place_of(*index, length_of(text)); at >= 0) {
                const std::string_view rest = text.substr(byte_offset(text, static_cast<std::size_t>(at)));
                return rest.substr(0, utf8_length(rest[0]));
            }
        }
    }
    if (!key.is<string>()) return detail::missing(v, "element", printed(run, key));
    auto found = detail::find_attribute(run, v, key.text());
    return found ? *std::move(found) : detail::missing(v, "attribute", key.text());
}

/// v[first:last:step] of a string, list or tuple; none or undefined bounds are open. Undefined for anything else.
[[nodiscard]] inline value get_slice(runtime& run, const value& v, const value& first, const value& last,
                                     const value& step) {
    defined(run, v);
    const sequence* items = v.as_sequence();
    if (!v.is<string>() && (items == nullptr || items->kind == sequence_kind::generator))
        return detail::missing(v, "element", "slice");
    const auto bound = [&](const value& given) -> std::optional<std::int64_t> {
        if (given.is<none>() || given.is<undefined>()) return std::nullopt;
        const auto number = as_integer(given);
        if (!number) run.fail("slice indices must be integers or None, got a ", type_name(given));
        return number;
    };
    run.spend(items != nullptr ? 1 : v.text().size());
    const auto size = static_cast<std::int64_t>(items != nullptr ? items->items.size() : length_of(v.text()));
    const std::int64_t stride = std::clamp<std::int64_t>(bound(step).value_or(1), -size - 1, size + 1);
    if (stride == 0) run.fail("slice step cannot be zero");
    const std::int64_t lowest = stride > 0 ? 0 : -1, highest = stride > 0 ? size : size - 1;
    const auto place = [&](const value& given, std::int64_t otherwise) {
        const auto i = bound(given);
        if (!i) return otherwise;
        return std::clamp(*i < 0 ? std::max(*i, -size - 1) + size : *i, lowest, highest);
    };
    const std::int64_t begin = place(first, stride > 0 ? lowest : highest),
                       end = place(last, stride > 0 ? highest : lowest);

    const std::int64_t reach = stride > 0 ? end - begin : begin - end, pace = std::abs(stride);
    const auto count = static_cast<std::size_t>(reach > 0 ? (reach + pace - 1) / pace : 0);
    if (items == nullptr && stride == 1) {  // the usual case, without a list of all characters
        const std::size_t from = byte_offset(v.text(), static_cast<std::size_t>(begin));
        return run.text(std::string(v.text().substr(from, byte_offset(v.text().substr(from), count))));
    }
    std::vector<std::string_view> characters;
    if (items == nullptr) {
        run.spend(sizeof(std::string_view) * v.text().size());
        for_each_character(v.text(), [&](std::string_view c) { characters.push_back(c); });
    } else {
        run.spend_elements(count);
    }
    std::vector<value> part;
    std::string text;
    for (std::size_t n = 0; n < count; ++n) {
        const auto i = static_cast<std::size_t>(begin + static_cast<std::int64_t>(n) * stride);
        if (items != nullptr)
            part.push_back(items->items[i]);
        else
            text += characters[i];
    }
    return items != nullptr ? run.list(std::move(part), items->kind) : run.text(std::move(text));
}

/// What "a.b.0" leads to from v, as filters with an attribute take it.
[[nodiscard]] inline value get_path(runtime& run, value v, const value& path) {
    if (!path.is<string>()) return get_item(run, v, path);
    run.spend(path.text().size());
    for (std::string_view rest = path.text();;) {
        const std::size_t end = std::min(rest.find('.'), rest.size());
        const std::string_view name = rest.substr(0, end);
        const bool is_index = !name.empty() && name.size() < 10 && detail::all_characters(name, is_digit);
        v = get_item(run, v, is_index ? value(std::int64_t{std::stol(std::string(name))}) : value(name));
        if (end == rest.size()) return v;
        rest.remove_prefix(end + 1);
    }
}

}  // namespace tessera::jinja
