// JSON as Python writes it and no JSON reader has to take it: NaN, Infinity and -Infinity, and halves of surrogate
// pairs.
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

}  // namespace tessera
