// JSON from files that nobody vouches for: strict, bounded in depth, every key of an object once.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include <nlohmann/json.hpp>

#include "tessera/core/bytes.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/foreign_file.hpp"
#include "tessera/core/mapped_file.hpp"
#include "tessera/core/python_numbers.hpp"

namespace tessera::safetensors {

/// What may stand for a number. Python's JSON also writes NaN, Infinity and -Infinity.
enum class json_numbers { strict, as_python };

struct json_limits {
    std::size_t depth = 64;  ///< objects and arrays inside each other
    json_numbers numbers = json_numbers::strict;
};

/// Parses a whole JSON text. Throws tessera::error, starting with `where`, on anything that is not strict JSON, on
/// nesting deeper than the limit, and on a key that one object has twice (parsers disagree on which of them counts).
[[nodiscard]] inline nlohmann::json parse_json(std::string_view text, std::string_view where, json_limits limits = {}) {
    using event = nlohmann::json::parse_event_t;
    std::vector<std::unordered_set<std::string>> keys;  // of the objects that are open
    const auto watch = [&](int depth, event kind, nlohmann::json& value) {
        if ((kind == event::object_start || kind == event::array_start) &&
            static_cast<std::size_t>(depth) >= limits.depth)
            fail(where, ": wanted JSON of at most ", limits.depth, " levels, got more");
        if (kind == event::object_start) keys.emplace_back();
        if (kind == event::object_end) keys.pop_back();
        if (kind == event::key && !keys.back().insert(value.get_ref<const std::string&>()).second)
            fail(where, ": wanted every key once, got ", value.get_ref<const std::string&>(), " twice");
        return true;
    };
    std::string quoted;
    if (limits.numbers == json_numbers::as_python) text = quoted = quote_python_numbers(text);
    try {
        return nlohmann::json::parse(text.begin(), text.end(), watch);
    } catch (const nlohmann::json::exception& e) {
        fail(where, ": wanted JSON, got: ", std::string_view(e.what()).substr(0, 200));  // it quotes what it read
    }
}

/// As parse_json, for a whole file.
[[nodiscard]] inline nlohmann::json load_json(const std::filesystem::path& path, json_limits limits = {}) {
    const mapped_file file(path);
    refuse_foreign(file.bytes(), path.string(), "JSON");
    return parse_json(as_text(file.bytes()), path.string(), limits);
}

}  // namespace tessera::safetensors
