// JSON that nobody vouches for.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

namespace tessera::text {

namespace detail {

// The surrogate that an escape in JSON text stands for, from 0xd800 on; 0 for anything else.
inline unsigned escaped_surrogate(std::string_view text) {
    if (text.size() < 6 || !text.starts_with("\\u")) return 0;
    unsigned value = 0;
    for (const char c : text.substr(2, 4)) {
        const std::size_t digit = std::string_view("0123456789abcdefABCDEF").find(c);
        if (digit == std::string_view::npos) return 0;
        value = 16 * value + static_cast<unsigned>(digit < 16 ? digit : digit - 6);
    }
    return value >= 0xd800 && value < 0xe000 ? value : 0;
}

}  // namespace detail

/// Puts the escape of U+FFFD in the place of every escape in JSON text that is half of a surrogate pair: Python writes
/// such for text cut in the middle of a character, and no JSON reader has to take them. Returns how many there were.
inline std::size_t repair_surrogates(std::string& json) {
    std::size_t repaired = 0;
    for (std::size_t at = json.find('\\'); at != std::string::npos; at = json.find('\\', at)) {
        const std::string_view rest = std::string_view(json).substr(at);
        const unsigned unit = detail::escaped_surrogate(rest);
        const bool is_pair = unit != 0 && unit < 0xdc00 && detail::escaped_surrogate(rest.substr(6)) >= 0xdc00;
        if (unit != 0 && !is_pair) {
            json.replace(at, 6, "\\ufffd");
            ++repaired;
        }
        at += is_pair ? 12 : unit != 0 ? 6 : 2;
    }
    return repaired;
}

/// A text as JSON with the order of its keys; nothing where it is none, or nests deeper than 64 levels (copying values
/// takes stack for every level).
[[nodiscard]] inline std::optional<nlohmann::ordered_json> parse_bounded_json(std::string_view text) {
    constexpr int max_depth = 64;
    bool is_too_deep = false;
    const auto watch = [&](int depth, nlohmann::ordered_json::parse_event_t, const nlohmann::ordered_json&) {
        is_too_deep = is_too_deep || depth > max_depth;
        return !is_too_deep;
    };
    auto parsed = nlohmann::ordered_json::parse(text.begin(), text.end(), watch, false);
    if (parsed.is_discarded() || is_too_deep) return std::nullopt;
    return std::optional<nlohmann::ordered_json>(std::in_place, std::move(parsed));
}

}  // namespace tessera::text
