// What can follow `is`.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "tessera/jinja/builtin.hpp"
#include "tessera/jinja/operations.hpp"
#include "tessera/jinja/print.hpp"
#include "tessera/jinja/string_methods.hpp"
#include "tessera/jinja/value.hpp"

namespace tessera::jinja {

namespace detail {

inline std::int64_t integer_of(const invocation& c) {
    const auto number = as_integer(defined(c.run, c.self));
    if (!number) c.run.fail("wanted an integer, got a ", type_name(c.self));
    return *number;
}

inline value is_equal_test(invocation& c) { return is_equal(c.run, c.self, c.given[0]); }
inline value is_different_test(invocation& c) { return !is_equal(c.run, c.self, c.given[0]); }
inline value is_less(invocation& c) { return compare(c.run, c.self, c.given[0], "<") < 0; }
inline value is_at_most(invocation& c) { return compare(c.run, c.self, c.given[0], "<=") <= 0; }
inline value is_greater(invocation& c) { return compare(c.run, c.self, c.given[0], ">") > 0; }
inline value is_at_least(invocation& c) { return compare(c.run, c.self, c.given[0], ">=") >= 0; }

inline bool has_elements(const value& v) {
    return v.is<undefined>() || v.is<string>() || v.as_sequence() != nullptr || v.as_mapping() != nullptr;
}

// Python's `is`: the same container, or the same scalar of the same type.
inline bool is_same(const invocation& c, const value& a, const value& b) {
    if (a.as_sequence() || a.as_mapping() || a.as_object())
        return a.as_sequence() == b.as_sequence() && a.as_mapping() == b.as_mapping() && a.as_object() == b.as_object();
    return type_name(a) == type_name(b) && is_equal(c.run, a, b);
}

}  // namespace detail

/// All tests of Jinja but `escaped`, `filter` and `test`.
inline constexpr std::array tests{
    builtin{"defined", "", cost::what_it_does, [](invocation& c) -> value { return !c.self.is<undefined>(); }},
    builtin{"undefined", "", cost::what_it_does, [](invocation& c) -> value { return c.self.is<undefined>(); }},
    builtin{"none", "", cost::what_it_does, [](invocation& c) -> value { return c.self.is<none>(); }},
    builtin{"boolean", "", cost::what_it_does, [](invocation& c) -> value { return c.self.is<bool>(); }},
    builtin{"true", "", cost::what_it_does,
            [](invocation& c) -> value { return c.self.is<bool>() && is_true(c.self); }},
    builtin{"false", "", cost::what_it_does,
            [](invocation& c) -> value { return c.self.is<bool>() && !is_true(c.self); }},
    builtin{"string", "", cost::what_it_does, [](invocation& c) -> value { return c.self.is<string>(); }},
    builtin{"number", "", cost::what_it_does, [](invocation& c) -> value { return as_float(c.self).has_value(); }},
    builtin{"integer", "", cost::what_it_does, [](invocation& c) -> value { return c.self.is<std::int64_t>(); }},
    builtin{"float", "", cost::what_it_does, [](invocation& c) -> value { return c.self.is<double>(); }},
    builtin{"mapping", "", cost::what_it_does, [](invocation& c) -> value { return c.self.as_mapping() != nullptr; }},
    builtin{"iterable", "", cost::what_it_does, [](invocation& c) -> value { return detail::has_elements(c.self); }},
    builtin{"sequence", "", cost::what_it_does,
            [](invocation& c) -> value { return detail::has_elements(c.self) && type_name(c.self) != "generator"; }},
    builtin{"callable", "", cost::what_it_does,
            [](invocation& c) -> value { return c.self.as_object() != nullptr && c.self.as_object()->is_callable(); }},
    builtin{"sameas", "other", cost::what_it_does,
            [](invocation& c) -> value { return detail::is_same(c, c.self, c.given[0]); }},
    builtin{"in", "seq", cost::what_it_does,
            [](invocation& c) -> value { return contains(c.run, c.given[0], c.self); }},
    builtin{"odd", "", cost::what_it_does, [](invocation& c) -> value { return detail::integer_of(c) % 2 != 0; }},
    builtin{"even", "", cost::what_it_does, [](invocation& c) -> value { return detail::integer_of(c) % 2 == 0; }},
    builtin{"divisibleby", "num", cost::what_it_does,
            [](invocation& c) -> value {
                const std::int64_t by = c.integer(0, 0);
                if (by == 0) c.run.fail("division by zero");
                return by == -1 || detail::integer_of(c) % by == 0;
            }},
    builtin{"lower", "", cost::sizes, [](invocation& c) -> value { return is_lower(printed(c.run, c.self)); }},
    builtin{"upper", "", cost::sizes, [](invocation& c) -> value { return is_upper(printed(c.run, c.self)); }},
    builtin{"eq", "other", cost::what_it_does, detail::is_equal_test},
    builtin{"equalto", "other", cost::what_it_does, detail::is_equal_test},
    builtin{"==", "other", cost::what_it_does, detail::is_equal_test},
    builtin{"ne", "other", cost::what_it_does, detail::is_different_test},
    builtin{"!=", "other", cost::what_it_does, detail::is_different_test},
    builtin{"lt", "other", cost::what_it_does, detail::is_less},
    builtin{"lessthan", "other", cost::what_it_does, detail::is_less},
    builtin{"<", "other", cost::what_it_does, detail::is_less},
    builtin{"le", "other", cost::what_it_does, detail::is_at_most},
    builtin{"<=", "other", cost::what_it_does, detail::is_at_most},
    builtin{"gt", "other", cost::what_it_does, detail::is_greater},
    builtin{"greaterthan", "other", cost::what_it_does, detail::is_greater},
    builtin{">", "other", cost::what_it_does, detail::is_greater},
    builtin{"ge", "other", cost::what_it_does, detail::is_at_least},
    builtin{">=", "other", cost::what_it_does, detail::is_at_least},
};

}  // namespace tessera::jinja
