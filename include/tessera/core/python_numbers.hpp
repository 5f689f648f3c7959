// What Python's JSON has and nobody else's: NaN, Infinity and -Infinity.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace tessera {

/// A JSON text with Python's names of numbers in quotation marks: who asks for a number there gets a string, and can
/// say so.
[[nodiscard]] inline std::string quote_python_numbers(std::string_view text) {
    std::string quoted;
    std::size_t copied = 0;
    for (std::size_t i = 0; i < text.size();) {
        if (text[i] == '"') {
            for (++i; i < text.size() && text[i] != '"';) i += text[i] == '\\' ? 2 : 1;
            ++i;
            continue;
        }
        std::size_t length = 0;
        for (const std::string_view name : {"NaN", "-Infinity", "Infinity"})
            if (text.substr(i).starts_with(name)) length = name.size();
        if (length > 0) {
            quoted.append(text.substr(copied, i - copied)).append("\"").append(text.substr(i, length)).append("\"");
            copied = i + length;
        }
        i += length > 0 ? length : 1;
    }
    return quoted.append(text.substr(copied));
}

}  // namespace tessera
