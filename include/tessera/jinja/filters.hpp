// What can follow |.
#pragma once

#include <cstddef>
#include <string_view>
#include <utility>
#include <vector>

#include "tessera/jinja/builtin.hpp"
#include "tessera/jinja/list_filters.hpp"
#include "tessera/jinja/text_filters.hpp"

namespace tessera::jinja {

/// The filter with this name, or null. All of Jinja's are there but those for HTML, `pprint`, `random`, `wordwrap` and
/// `filesizeformat`.
[[nodiscard]] constexpr const builtin* find_filter(std::string_view name) noexcept {
    const builtin* found = find(text_filters, name);
    return found != nullptr ? found : find(list_filters, name);
}

namespace detail {

// map(attribute='name'[, default=...]) or map('filter', arguments...).
inline value map_filter(invocation& c) {
    std::vector<value> mapped;
    if (c.given.empty()) {
        value path, otherwise;
        for (auto& [name, item] : c.named) {
            if (name != "attribute" && name != "default") c.run.fail("map: wanted attribute or default, got ", name);
            (name == "attribute" ? path : otherwise) = item;
        }
        if (path.is<undefined>()) c.run.fail("map requires a filter argument");
        for (const value& item : elements(c.run, c.self)) {
            value found = get_path(c.run, item, path);
            mapped.push_back(found.is<undefined>() && !otherwise.is<undefined>() ? otherwise : std::move(found));
        }
        return c.run.generator(std::move(mapped));
    }
    const builtin* filter = find_filter(c.given.front().text());
    if (filter == nullptr) c.run.fail("No filter named '", printed(c.run, c.given.front()), "'");
    const std::vector<value> rest(c.given.begin() + 1, c.given.end());
    for (const value& item : elements(c.run, c.self)) {
        const runtime::level inside(c.run);
        mapped.push_back(invoke(c.run, *filter, item, {rest, c.named}));
    }
    return c.run.generator(std::move(mapped));
}

}  // namespace detail

}  // namespace tessera::jinja
