// Sizes as people write them.
#pragma once

#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <string_view>

#include "tessera/core/error.hpp"

namespace tessera {

/// A number of bytes from "1632992", "4200MB", "4.2GiB": decimal (k, M, G, T) and binary (Ki, Mi, Gi, Ti) units in any
/// case, with or without a B, blanks before them allowed; fractions are rounded down to whole bytes. Throws on anything
/// else, and on 2^53 bytes and more.
[[nodiscard]] inline std::uint64_t parse_byte_count(std::string_view text) {
    const auto refuse = [&] {
        fail("size: wanted a number with a unit such as 4.2GiB, 4200MB or 1632992, got ",
             text.empty() ? "nothing" : text);
    };
    double number = 0.0;
    const auto [end, problem] =
        std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
    if (problem != std::errc() || !(number >= 0.0)) refuse();
    std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
    while (unit.starts_with(' ')) unit.remove_prefix(1);

    if (unit.ends_with('B') || unit.ends_with('b')) unit.remove_suffix(1);
    const bool is_binary = unit.size() == 2 && (unit[1] == 'i' || unit[1] == 'I');
    if (is_binary) unit.remove_suffix(1);
    constexpr std::array<std::string_view, 5> prefixes{"", "kK", "mM", "gG", "tT"};
    for (std::size_t p = 0; p < prefixes.size(); ++p) {
        if (unit.size() != (p == 0 ? 0 : 1) || (p > 0 && prefixes[p].find(unit) == std::string_view::npos)) continue;
        // A whole number of bytes may be meant where the product falls a rounding error short of it: 4.35 GB.
        const double bytes = number * std::pow(is_binary ? 1024.0 : 1000.0, static_cast<double>(p));
        const double whole = std::round(bytes);
        const double result = std::abs(bytes - whole) <= 1e-15 * whole ? whole : std::floor(bytes);
        if (result >= 0x1p53) fail("size: wanted less than 2^53 bytes, got ", text);
        return static_cast<std::uint64_t>(result);
    }
    refuse();
    return 0;
}

}  // namespace tessera
