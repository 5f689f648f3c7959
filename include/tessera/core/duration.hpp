// Times as people write them.
#pragma once

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
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

/// "1:02:03", "2:03": rounded to seconds, days in hours; what is below 0 or above 10^9 as these.
[[nodiscard]] inline std::string duration_text(double seconds) {
    const auto whole = static_cast<std::uint64_t>(std::clamp(seconds, 0.0, 1e9) + 0.5);
    const auto two_digits = [](std::uint64_t n) { return (n < 10 ? ":0" : ":") + std::to_string(n); };
    const std::uint64_t hours = whole / 3600, minutes = whole / 60 % 60;
    return (hours > 0 ? std::to_string(hours) + two_digits(minutes) : std::to_string(minutes)) + two_digits(whole % 60);
}

}  // namespace tessera
