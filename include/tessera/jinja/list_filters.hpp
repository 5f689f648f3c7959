// Filters on lists and mappings.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tessera/jinja/arithmetic.hpp"
#include "tessera/jinja/builtin.hpp"
#include "tessera/jinja/container_methods.hpp"
#include "tessera/jinja/lookup.hpp"
#include "tessera/jinja/operations.hpp"
#include "tessera/jinja/print.hpp"
#include "tessera/jinja/tests.hpp"
#include "tessera/jinja/value.hpp"

namespace tessera::jinja {

namespace detail {

/// What an element is compared by: itself or an attribute, letters in lower case unless case matters.
inline value sort_key(invocation& c, const value& item, const value& attribute, bool is_case_sensitive) {
    value key = attribute.is<undefined>() || attribute.is<none>() ? item : get_path(c.run, item, attribute);
    if (key.is<string>() && !is_case_sensitive) return c.run.text(lower(key.text()));
    return key;
}

struct keyed_value {
    value key;
    value item;
};

inline std::vector<keyed_value> with_keys(invocation& c, std::vector<value> items, std::size_t attribute,
                                          bool is_case_sensitive) {
    std::vector<keyed_value> keyed;
    const value path = c.has(attribute) ? c.given[attribute] : value();
    for (value& item : items) keyed.push_back({sort_key(c, item, path, is_case_sensitive), std::move(item)});
    return keyed;
}

// Stable, also downwards: equal elements keep their order.
inline void sort_keyed(invocation& c, std::vector<keyed_value>& items, bool is_downward) {
    std::stable_sort(items.begin(), items.end(), [&](const keyed_value& a, const keyed_value& b) {
        return compare(c.run, is_downward ? b.key : a.key, is_downward ? a.key : b.key, "<") ==
               std::partial_ordering::less;
    });
}

inline std::vector<value> items_of(std::vector<keyed_value> keyed) {
    std::vector<value> items;
    for (keyed_value& k : keyed) items.push_back(std::move(k.item));
    return items;
}

// "a,b" sorts by a, then by b.
inline value sort_filter(invocation& c) {
    std::vector<value> items = elements(c.run, c.self);
    std::vector<std::string_view> paths;
    if (c.has(2) && c.given[2].is<string>())
        for (std::string_view rest = c.text(2);;) {
            c.run.spend_elements(1);
            const std::size_t comma = std::min(rest.find(','), rest.size());
            paths.push_back(rest.substr(0, comma));
            if (comma == rest.size()) break;
            rest.remove_prefix(comma + 1);
        }
    if (paths.size() < 2) {
        auto keyed = with_keys(c, std::move(items), 2, c.flag(1));
        sort_keyed(c, keyed, c.flag(0));
        return c.run.list(items_of(std::move(keyed)));
    }
    for (std::size_t i = paths.size(); i-- > 0;) {
        c.given[2] = paths[i];
        auto keyed = with_keys(c, std::move(items), 2, c.flag(1));
        sort_keyed(c, keyed, c.flag(0));
        items = items_of(std::move(keyed));
    }
    return c.run.list(std::move(items));
}

inline value dictsort_filter(invocation& c) {
    const mapping* entries = c.self.as_mapping();
    if (entries == nullptr) c.run.fail("dictsort: wanted a mapping, got a ", type_name(defined(c.run, c.self)));
    const std::string_view by = c.text(1, "key");
    if (by != "key" && by != "value") c.run.fail("You can only sort by either \"key\" or \"value\"");
    std::vector<keyed_value> keyed;
    for (const auto& [key, item] : entries->entries)
        keyed.push_back({sort_key(c, by == "key" ? key : item, {}, c.flag(0)), c.run.tuple({key, item})});
    sort_keyed(c, keyed, c.flag(2));
    return c.run.list(items_of(std::move(keyed)));
}

inline value unique_filter(invocation& c) {
    std::vector<value> keys, items;
    for (keyed_value& next : with_keys(c, elements(c.run, c.self), 1, c.flag(0)))
        if (std::none_of(keys.begin(), keys.end(), [&](const value& k) { return is_equal(c.run, k, next.key); })) {
            keys.push_back(std::move(next.key));
            items.push_back(std::move(next.item));
        }
    return c.run.generator(std::move(items));
}

enum class extreme { smallest, largest };
inline value extreme_filter(invocation& c, extreme which) {
    const auto keyed = with_keys(c, elements(c.run, c.self), 1, c.flag(0));
    if (keyed.empty()) return undefined{"No aggregated item, sequence was empty."};
    const keyed_value* best = &keyed[0];
    for (const keyed_value& k : keyed) {
        const auto order = compare(c.run, k.key, best->key, "<");
        if (which == extreme::smallest ? order < 0 : order > 0) best = &k;
    }
    return best->item;
}

inline value groupby_filter(invocation& c) {
    if (!c.has(2)) c.given[2] = false;
    auto keyed = with_keys(c, elements(c.run, c.self), 0, c.flag(2));
    if (c.has(1))
        for (keyed_value& k : keyed)
            if (k.key.is<undefined>()) k.key = c.given[1];
    sort_keyed(c, keyed, false);
    std::vector<value> groups;
    for (std::size_t i = 0; i < keyed.size();) {
        const std::size_t first = i;
        std::vector<value> members;
        for (; i < keyed.size() && is_equal(c.run, keyed[i].key, keyed[first].key); ++i)
            members.push_back(keyed[i].item);
        groups.push_back(c.run.tuple({get_path(c.run, keyed[first].item, c.given[0]), c.run.list(std::move(members))}));
        if (i == first) ++i;  // not equal to itself: not a number
    }
    return c.run.list(std::move(groups));
}

inline value join_filter(invocation& c) {
    std::string out;
    bool is_first = true;
    const std::string separator = c.has(0) ? printed(c.run, c.given[0]) : "";
    for (const value& item : elements(c.run, c.self)) {
        c.run.spend(separator.size());
        if (!is_first) out += separator;
        is_first = false;
        print(c.run, c.has(1) ? get_path(c.run, item, c.given[1]) : item, out);
    }
    return out;
}

inline value reverse_filter(invocation& c) {
    std::vector<value> items = elements(c.run, c.self);
    std::reverse(items.begin(), items.end());
    if (!c.self.is<string>()) return c.run.generator(std::move(items));
    std::string text;
    for (const value& item : items) text += item.text();
    return text;
}

inline value first_filter(invocation& c) {
    if (sequence* from = c.self.as_sequence(); from != nullptr && !from->items.empty()) {
        value item = from->items.front();
        if (from->kind == sequence_kind::generator) {
            c.run.spend(from->items.size());
            from->items.erase(from->items.begin());
        }
        return item;
    }
    const std::vector<value> items = elements(c.run, c.self);
    return items.empty() ? value(undefined{"No first item, sequence was empty."}) : items.front();
}

inline value last_filter(invocation& c) {
    if (type_name(c.self) == "generator") c.run.fail("'generator' object is not reversible");
    if (const sequence* from = c.self.as_sequence(); from != nullptr && !from->items.empty()) return from->items.back();
    const std::vector<value> items = elements(c.run, c.self);
    return items.empty() ? value(undefined{"No last item, sequence was empty."}) : items.back();
}

inline value sum_filter(invocation& c) {
    value sum = c.has(1) ? c.given[1] : value(std::int64_t{0});
    for (const value& item : elements(c.run, c.self))
        sum = calculate(c.run, arithmetic_operator::add, sum, c.has(0) ? get_path(c.run, item, c.given[0]) : item);
    return sum;
}

inline value items_filter(invocation& c) {
    if (c.self.is<undefined>()) return c.run.generator({});
    const mapping* entries = c.self.as_mapping();
    if (entries == nullptr) c.run.fail("Can only get item pairs from a mapping.");
    return c.run.generator(item_tuples(c.run, *entries));
}

// Lists of `count` elements, the last one filled up where there is something to fill it with.
inline value batch_filter(invocation& c) {
    const std::int64_t count = c.integer(0, 0);
    if (count < 1) c.run.fail("batch: wanted at least 1 element, got ", count);
    const std::vector<value> items = elements(c.run, c.self);
    std::vector<value> batches;
    for (std::size_t i = 0; i < items.size(); i += std::min(static_cast<std::size_t>(count), items.size() - i)) {
        const std::size_t end = i + std::min(static_cast<std::size_t>(count), items.size() - i);
        std::vector<value> batch(items.begin() + static_cast<std::ptrdiff_t>(i),
                                 items.begin() + static_cast<std::ptrdiff_t>(end));
        if (c.has(1) && !c.given[1].is<none>()) {
            c.run.spend_elements(static_cast<std::size_t>(count));
            batch.resize(static_cast<std::size_t>(count), c.given[1]);
        }
        batches.push_back(c.run.list(std::move(batch)));
    }
    return c.run.generator(std::move(batches));
}

// `count` lists as even as possible, the longer ones first.
inline value slice_filter(invocation& c) {
    const std::int64_t count = c.integer(0, 0);
    if (count < 1) c.run.fail("slice: wanted at least 1 list, got ", count);
    c.run.spend_elements(static_cast<std::size_t>(count));
    const std::vector<value> items = elements(c.run, c.self);
    const auto lists = static_cast<std::size_t>(count);
    const std::size_t even = items.size() / lists, longer = items.size() % lists;
    std::vector<value> slices;
    for (std::size_t i = 0, at = 0; i < lists; ++i) {
        const std::size_t size = even + (i < longer ? 1 : 0);
        std::vector<value> part(items.begin() + static_cast<std::ptrdiff_t>(at),
                                items.begin() + static_cast<std::ptrdiff_t>(at + size));
        at += size;
        if (i >= longer && c.has(1) && !c.given[1].is<none>()) part.push_back(c.given[1]);
        slices.push_back(c.run.list(std::move(part)));
    }
    return c.run.generator(std::move(slices));
}

// select, reject, selectattr and rejectattr: [attribute,] [test, arguments...]
enum class keep { passing, failing };
enum class looks_at { element, attribute };
inline value filter_elements(invocation& c, keep which, looks_at what) {
    std::vector<value> given = c.given;
    value path;
    if (what == looks_at::attribute) {
        if (given.empty()) c.run.fail("Missing parameter for attribute name");
        path = given.front();
        given.erase(given.begin());
    }
    const builtin* test = nullptr;
    if (!given.empty()) {
        test = find(tests, given.front().text());
        if (test == nullptr) c.run.fail("No test named '", printed(c.run, given.front()), "'");
        given.erase(given.begin());
    }
    std::vector<value> kept;
    for (const value& item : elements(c.run, c.self)) {
        const value subject = what == looks_at::attribute ? get_path(c.run, item, path) : item;
        const bool passes = is_true(test == nullptr ? subject : invoke(c.run, *test, subject, {given, c.named}));
        if (passes == (which == keep::passing)) kept.push_back(item);
    }
    return c.run.generator(std::move(kept));
}

value map_filter(invocation& c);  // needs all filters

}  // namespace detail

inline constexpr std::array list_filters{
    builtin{"batch", "linecount fill_with?", cost::what_it_does, detail::batch_filter},
    builtin{"count", "", cost::what_it_does, [](invocation& c) -> value { return length(c.run, c.self); }},
    builtin{"dictsort", "case_sensitive? by? reverse?", cost::what_it_does, detail::dictsort_filter},
    builtin{"first", "", cost::what_it_does, detail::first_filter},
    builtin{"groupby", "attribute default? case_sensitive?", cost::what_it_does, detail::groupby_filter},
    builtin{"items", "", cost::what_it_does, detail::items_filter},
    builtin{"join", "d? attribute?", cost::what_it_does, detail::join_filter},
    builtin{"last", "", cost::what_it_does, detail::last_filter},
    builtin{"length", "", cost::what_it_does, [](invocation& c) -> value { return length(c.run, c.self); }},
    builtin{"list", "", cost::what_it_does, [](invocation& c) -> value { return c.run.list(elements(c.run, c.self)); }},
    builtin{"map", "*", cost::what_it_does, detail::map_filter},
    builtin{"max", "case_sensitive? attribute?", cost::what_it_does,
            [](invocation& c) { return detail::extreme_filter(c, detail::extreme::largest); }},
    builtin{"min", "case_sensitive? attribute?", cost::what_it_does,
            [](invocation& c) { return detail::extreme_filter(c, detail::extreme::smallest); }},
    builtin{"reject", "*", cost::what_it_does,
            [](invocation& c) { return detail::filter_elements(c, detail::keep::failing, detail::looks_at::element); }},
    builtin{
        "rejectattr", "*", cost::what_it_does,
        [](invocation& c) { return detail::filter_elements(c, detail::keep::failing, detail::looks_at::attribute); }},
    builtin{"reverse", "", cost::what_it_does, detail::reverse_filter},
    builtin{"select", "*", cost::what_it_does,
            [](invocation& c) { return detail::filter_elements(c, detail::keep::passing, detail::looks_at::element); }},
    builtin{
        "selectattr", "*", cost::what_it_does,
        [](invocation& c) { return detail::filter_elements(c, detail::keep::passing, detail::looks_at::attribute); }},
    builtin{"slice", "slices fill_with?", cost::what_it_does, detail::slice_filter},
    builtin{"sort", "reverse? case_sensitive? attribute?", cost::what_it_does, detail::sort_filter},
    builtin{"sum", "attribute? start?", cost::what_it_does, detail::sum_filter},
    builtin{"unique", "case_sensitive? attribute?", cost::what_it_does, detail::unique_filter},
};

}  // namespace tessera::jinja
