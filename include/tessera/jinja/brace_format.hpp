// str.format: fields in braces, filled in order, by number or by name.
#pragma once

#include <charconv>
#include <cstddef>
#include <string>
#include <string_view>

#include "tessera/jinja/builtin.hpp"
#include "tessera/jinja/percent_format.hpp"
#include "tessera/jinja/print.hpp"

namespace tessera::jinja {

namespace detail {

// The argument that a field names; `automatic` counts fields without a name.
inline value field_value(const invocation& c, std::string_view name, std::size_t& automatic) {
    std::size_t index = automatic;
    if (name.empty())
        ++automatic;
    else if (const auto [end, problem] = std::from_chars(name.data(), name.data() + name.size(), index);
             problem != std::errc() || end != name.data() + name.size()) {
        for (const auto& [known, v] : c.named)
            if (known == name) return v;
        c.run.fail("format: wanted an argument ", name, ", got none");
    }
    if (index >= c.given.size()) c.run.fail("format: wanted more than ", c.given.size(), " arguments");
    return c.given[index];
}

}  // namespace detail

/// c.self.format(...). Fields may have a conversion (!s, !r) and, for numbers, what % formats know: {:.2f}, {:03d}.
[[nodiscard]] inline std::string brace_format(invocation& c) {
    std::string_view format = c.self.text();
    std::string out;
    std::size_t automatic = 0;
    for (;;) {
        const std::size_t plain = std::min(format.find_first_of("{}"), format.size());
        out += format.substr(0, plain);
        format.remove_prefix(plain);
        if (format.empty()) return out;
        if (format.size() > 1 && format[0] == format[1]) {
            out += format[0];
            format.remove_prefix(2);
            continue;
        }
        const std::size_t end = format.find('}');
        if (format[0] == '}' || end == std::string_view::npos)
            c.run.fail("format: single '", format[0], "' in format string");
        std::string_view field = format.substr(1, end - 1);
        format.remove_prefix(end + 1);

        const std::size_t colon = std::min(field.find(':'), field.size());
        const std::string specification(field.substr(std::min(colon + 1, field.size())));
        field = field.substr(0, colon);
        c.run.spend(1 + c.named.size());
        const bool as_repr = field.ends_with("!r");
        if (as_repr || field.ends_with("!s")) field.remove_suffix(2);
        const value v = detail::field_value(c, field, automatic);
        if (as_repr)
            out += repr(c.run, v);
        else if (specification.empty())
            print(c.run, v, out);
        else if (specification.find_first_not_of("0123456789.dxXeEfFgG") == std::string::npos)
            out += percent_format(c.run, "%" + specification, c.run.tuple({v}));
        else
            c.run.fail("format: cannot do '", specification, "'");
    }
}

}  // namespace tessera::jinja
