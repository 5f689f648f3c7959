// The methods of mappings and lists. Those that change one are refused by the sandbox of transformers, but published
// templates use them.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "tessera/jinja/builtin.hpp"
#include "tessera/jinja/operations.hpp"
#include "tessera/jinja/print.hpp"
#include "tessera/jinja/value.hpp"

namespace tessera::jinja {

/// The pairs of a mapping as tuples.
[[nodiscard]] inline std::vector<value> item_tuples(runtime& run, const mapping& from) {
    std::vector<value> items;
    run.spend_elements(from.entries.size());
    for (const auto& [key, item] : from.entries) items.push_back(run.tuple({key, item}));
    return items;
}

namespace detail {

inline void set_item(invocation& c, const value& key, const value& item) {
    c.run.note_change(c.self, item);
    assign(c.run, *c.self.as_mapping(), key, item);
}

inline value update(invocation& c) {
    if (c.has(0)) {
        const mapping* from = c.given[0].as_mapping();
        if (from == nullptr) c.run.fail("update: wanted a mapping, got a ", type_name(c.given[0]));
        c.run.spend_elements(2 * from->entries.size());
        for (const auto& [key, item] : std::vector(from->entries)) set_item(c, key, item);
    }
    for (const auto& [key, item] : c.named) set_item(c, key, item);
    return none{};
}

inline value pop_key(invocation& c) {
    mapping& from = *c.self.as_mapping();
    const value* found = find(c.run, from, c.given[0]);
    if (found == nullptr) {
        if (c.given.size() > 1 && c.has(1)) return c.given[1];
        c.run.fail("pop: wanted a key of the mapping, got ", printed(c.run, c.given[0]));
    }
    value item = *found;
    c.run.spend(from.entries.size());
    std::erase_if(from.entries, [&](const auto& entry) { return &entry.second == found; });
    return item;
}

// Where an index, counted from the end when it is negative, lies in a list of `size`; -1 when it does not.
inline std::int64_t place_of(std::int64_t index, std::size_t size) {
    const auto count = static_cast<std::int64_t>(size);
    if (index < 0) index += count;
    return index >= 0 && index < count ? index : -1;
}

inline value pop_item(invocation& c) {
    std::vector<value>& items = c.self.as_sequence()->items;
    const std::int64_t at = place_of(c.integer(0, -1), items.size());
    if (at < 0) c.run.fail("pop: wanted an index into a list of ", items.size(), ", got ", c.integer(0, -1));
    value item = items[static_cast<std::size_t>(at)];
    c.run.spend(items.size() - static_cast<std::size_t>(at));
    items.erase(items.begin() + at);
    return item;
}

inline value insert_item(invocation& c) {
    c.run.note_change(c.self, c.given[1]);
    std::vector<value>& items = c.self.as_sequence()->items;
    const auto size = static_cast<std::int64_t>(items.size());
    const std::int64_t at = c.integer(0, 0);
    c.run.spend(items.size());
    items.insert(items.begin() + std::clamp<std::int64_t>(at < 0 ? at + size : at, 0, size), c.given[1]);
    return none{};
}

inline std::int64_t index_of(invocation& c) {
    const std::vector<value>& items = c.self.as_sequence()->items;
    for (std::size_t i = 0; i < items.size(); ++i)
        if (is_equal(c.run, items[i], c.given[0])) return static_cast<std::int64_t>(i);
    return -1;
}

}  // namespace detail

inline constexpr std::array mapping_methods{
    builtin{"get", "key default?", cost::what_it_does,
            [](invocation& c) -> value {
                if (const value* found = find(c.run, *c.self.as_mapping(), c.given[0])) return *found;
                return c.has(1) ? c.given[1] : value(none{});
            }},
    builtin{"items", "", cost::what_it_does,
            [](invocation& c) -> value { return c.run.list(item_tuples(c.run, *c.self.as_mapping())); }},
    builtin{"keys", "", cost::what_it_does, [](invocation& c) -> value { return c.run.list(elements(c.run, c.self)); }},
    builtin{"values", "", cost::what_it_does,
            [](invocation& c) -> value {
                std::vector<value> items;
                c.run.spend_elements(c.self.as_mapping()->entries.size());
                for (const auto& [key, item] : c.self.as_mapping()->entries) items.push_back(item);
                return c.run.list(std::move(items));
            }},
    builtin{"copy", "", cost::what_it_does,
            [](invocation& c) -> value {
                c.run.spend_elements(2 * c.self.as_mapping()->entries.size());
                return c.run.map(c.self.as_mapping()->entries);
            }},
    builtin{"update", "other? *", cost::what_it_does, detail::update},
    builtin{"pop", "key default?", cost::what_it_does, detail::pop_key},
    builtin{"setdefault", "key default?", cost::what_it_does,
            [](invocation& c) -> value {
                if (const value* found = find(c.run, *c.self.as_mapping(), c.given[0])) return *found;
                const value item = c.has(1) ? c.given[1] : value(none{});
                detail::set_item(c, c.given[0], item);
                return item;
            }},
};

/// Of these, tuples have index and count only.
inline constexpr std::array list_methods{
    builtin{"index", "value", cost::what_it_does,
            [](invocation& c) -> value {
                const std::int64_t at = detail::index_of(c);
                if (at < 0) c.run.fail("index: the value is not in the list");
                return at;
            }},
    builtin{"count", "value", cost::what_it_does,
            [](invocation& c) -> value {
                std::int64_t count = 0;
                for (const value& item : c.self.as_sequence()->items)
                    count += is_equal(c.run, item, c.given[0]) ? 1 : 0;
                return count;
            }},
    builtin{"append", "value", cost::what_it_does,
            [](invocation& c) -> value {
                c.run.note_change(c.self, c.given[0]);
                c.self.as_sequence()->items.push_back(c.given[0]);
                return none{};
            }},
    builtin{"extend", "values", cost::what_it_does,
            [](invocation& c) -> value {
                for (const value& item : elements(c.run, c.given[0])) {
                    c.run.note_change(c.self, item);
                    c.self.as_sequence()->items.push_back(item);
                }
                return none{};
            }},
    builtin{"insert", "index value", cost::what_it_does, detail::insert_item},
    builtin{"pop", "index?", cost::what_it_does, detail::pop_item},
    builtin{"remove", "value", cost::what_it_does,
            [](invocation& c) -> value {
                const std::int64_t at = detail::index_of(c);
                if (at < 0) c.run.fail("remove: the value is not in the list");
                std::vector<value>& items = c.self.as_sequence()->items;
                c.run.spend(items.size());
                items.erase(items.begin() + at);
                return none{};
            }},
    builtin{"reverse", "", cost::what_it_does,
            [](invocation& c) -> value {
                std::vector<value>& items = c.self.as_sequence()->items;
                c.run.spend(items.size());
                std::reverse(items.begin(), items.end());
                return none{};
            }},
    builtin{"copy", "", cost::what_it_does,
            [](invocation& c) -> value {
                c.run.spend_elements(c.self.as_sequence()->items.size());
                return c.run.list(c.self.as_sequence()->items);
            }},
};

}  // namespace tessera::jinja
