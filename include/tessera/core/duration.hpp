// Times as people write them.
#pragma once

#include <charconv>
#include <cmath>
#include <cstddef>
#include <string_view>
#include <system_error>

#include "tessera/core/error.hpp"

namespace tessera {

/// Seconds from "8h", "1.5h", "1h30m", "45m", "90s", "2d": numbers with units, from the largest unit to the smallest,
/// each at most once. Throws on anything else, and on nothing or 0.
[[nodiscard]] inline double parse_duration(std::string_view text) {
    const auto refuse = [&] {
        fail("time: wanted a time such as 8h, 1h30m or 45m, got ", text.empty() ? "nothing" : text);
    };
    constexpr std::string_view units = "dhms";
    constexpr double seconds_of[] = {86400, 3600, 60, 1};
    double sum = 0;
    std::size_t next = 0;  // units before it are taken
    for (std::string_view rest = text; !rest.empty();) {
        double number = 0;
        const auto [end, problem] =
            std::from_chars(rest.data(), rest.data() + rest.size(), number, std::chars_format::fixed);
        rest.remove_prefix(static_cast<std::size_t>(end - rest.data()));
        const std::size_t unit = problem != std::errc() || rest.empty() ? units.npos : units.find(rest.front(), next);
        if (unit == units.npos || !(number >= 0)) refuse();
        rest.remove_prefix(1);
        sum += number * seconds_of[unit];
        next = unit + 1;
    }
    if (!(sum > 0) || !std::isfinite(sum)) refuse();
    return sum;
}

}  // namespace tessera
