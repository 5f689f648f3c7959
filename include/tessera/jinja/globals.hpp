// The functions that every template can call.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tessera/jinja/builtin.hpp"
#include "tessera/jinja/objects.hpp"
#include "tessera/jinja/operations.hpp"
#include "tessera/jinja/print.hpp"
#include "tessera/jinja/value.hpp"

namespace tessera::jinja {

namespace detail {

inline value range(invocation& c) {
    const bool has_first = c.has(1);
    const std::int64_t first = has_first ? c.integer(0, 0) : 0, last = c.integer(has_first ? 1 : 0, 0),
                       step = c.integer(2, 1);
    if (step == 0) c.run.fail("range() arg 3 must not be zero");
    std::vector<value> items;
    for (std::int64_t i = first; step > 0 ? i < last : i > last;) {
        c.run.spend_elements(1);
        items.push_back(i);
        if (__builtin_add_overflow(i, step, &i)) break;
    }
    return c.run.list(std::move(items));
}

inline std::vector<std::pair<value, value>> named_entries(const invocation& c) {
    std::vector<std::pair<value, value>> entries;
    if (const mapping* from = c.given.empty() ? nullptr : c.given[0].as_mapping()) {
        c.run.spend_elements(2 * from->entries.size());
        entries = from->entries;
    } else if (c.has(0))
        c.run.fail("wanted a mapping, got a ", type_name(c.given[0]));
    mapping all{std::move(entries)};
    for (const auto& [name, item] : c.named) assign(c.run, all, value(name), item);
    return std::move(all.entries);
}

inline value strftime_now(invocation& c) {
    const std::string format = std::string(c.text(0)) + '.';  // so that nothing is told from too much
    std::array<char, 1024> text;
    const std::size_t length = std::strftime(text.data(), text.size(), format.c_str(), &c.run.now());
    if (length == 0) c.run.fail("strftime_now: wanted a date of at most ", text.size(), " bytes, got a longer one");
    return std::string(text.data(), length - 1);
}

}  // namespace detail

inline constexpr std::array globals{
    builtin{"range", "start stop? step?", cost::what_it_does, detail::range},
    builtin{"dict", "mapping? *", cost::what_it_does,
            [](invocation& c) -> value { return c.run.map(detail::named_entries(c)); }},
    builtin{"namespace", "mapping? *", cost::what_it_does,
            [](invocation& c) { return make_object<namespace_object>(c.run, detail::named_entries(c)); }},
    builtin{"raise_exception", "message", cost::what_it_does,
            [](invocation& c) -> value { c.run.raise(printed(c.run, c.given[0])); }},
    builtin{"strftime_now", "format", cost::sizes, detail::strftime_now},
};

}  // namespace tessera::jinja
