// JSON values as text.
#pragma once

#include <string>

#include <nlohmann/json.hpp>

namespace tessera {

/// Which characters stay as they are: all, or those of ASCII, the others being escaped.
enum class json_characters { all, ascii };

/// A value as JSON text, on one line or with so many blanks for a level. Bytes that are no UTF-8 become U+FFFD, so this
/// never throws.
template <class Json>
[[nodiscard]] std::string json_text(const Json& value, json_characters kept, int indent = -1) {
    return value.dump(indent, ' ', kept == json_characters::ascii, Json::error_handler_t::replace);
}

}  // namespace tessera
