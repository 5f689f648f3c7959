// JSON on standard output.
#pragma once

#include <string>

#include <nlohmann/json.hpp>

namespace cli {

/// All of a value, in ASCII: valid JSON that does nothing to a terminal, whatever the strings hold. Bytes that are no UTF-8
/// become U+FFFD.
inline std::string json_text(const nlohmann::ordered_json& value) {
    return value.dump(2, ' ', true, nlohmann::ordered_json::error_handler_t::replace) + '\n';
}

}  // namespace cli
