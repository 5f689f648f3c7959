// JSON from untrusted files: strict, and bounded in depth.
#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "tessera/core/bytes.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/foreign_file.hpp"
#include "tessera/core/mapped_file.hpp"
#include "tessera/core/python_json.hpp"

namespace tessera {

/// What may stand for a number. Python's JSON also writes NaN, Infinity and -Infinity.
enum class json_numbers { strict, as_python };

/// What becomes of a key that one object has twice: parsers disagree on which of the values counts. Python takes the
/// last one.
enum class repeated_keys { refused, last_counts };

struct json_limits {
    std::size_t depth = 64;  ///< objects and arrays inside each other; copying values takes stack for every level
    json_numbers numbers = json_numbers::strict;
    repeated_keys keys = repeated_keys::refused;
};

/// Parses a whole JSON text, into nlohmann::ordered_json where the order of keys matters. Throws tessera::error,
/// starting with `where`, on anything that is not JSON within the limits.
template <class Json = nlohmann::json>
[[nodiscard]] Json parse_json(std::string_view text, std::string_view where, const json_limits& limits = {}) {
    using event = typename Json::parse_event_t;
    std::vector<std::unordered_set<std::string>> keys;  // of the objects that are open
    const auto watch = [&](int depth, event kind, Json& value) {
        if ((kind == event::object_start || kind == event::array_start) &&
            static_cast<std::size_t>(depth) >= limits.depth)
            fail(where, ": wanted JSON of at most ", limits.depth, " levels, got more");
        if (limits.keys == repeated_keys::last_counts) return true;
        if (kind == event::object_start) keys.emplace_back();
        if (kind == event::object_end) keys.pop_back();
        if (kind == event::key && !keys.back().insert(value.template get_ref<const std::string&>()).second)
            fail(where, ": wanted every key once, got ", value.template get_ref<const std::string&>(), " twice");
        return true;
    };
    std::string quoted;
    if (limits.numbers == json_numbers::as_python) text = quoted = quote_python_numbers(text);
    try {
        return Json::parse(text.begin(), text.end(), watch);
    } catch (const typename Json::exception& e) {
        fail(where, ": wanted JSON, got: ", std::string_view(e.what()).substr(0, 200));  // it quotes what it read
    }
}

/// As parse_json, for a whole file. (A template, as find_json is: the parser is compiled where somebody calls it.)
template <class Json = nlohmann::json>
[[nodiscard]] Json load_json(const std::filesystem::path& path, const json_limits& limits = {}) {
    const mapped_file file(path);
    refuse_foreign(file.bytes(), path.string(), "JSON");
    return parse_json<Json>(as_text(file.bytes()), path.string(), limits);
}

/// A text as JSON in the order of its keys; nothing where it is none within the default depth.
template <class Json = nlohmann::ordered_json>
[[nodiscard]] std::optional<Json> find_json(std::string_view text) {
    try {
        return std::optional<Json>(std::in_place, parse_json<Json>(text, "", {.keys = repeated_keys::last_counts}));
    } catch (const error&) {
        return std::nullopt;
    }
}

}  // namespace tessera
