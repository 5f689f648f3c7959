// JSON that nobody vouches for.
#pragma once

#include <optional>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

namespace tessera::text {

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
    return parsed;
}

}  // namespace tessera::text
