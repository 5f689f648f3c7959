// Values as text: what {{ }} and the filter `string` make of them.
#pragma once

#include <array>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "tessera/jinja/operations.hpp"
#include "tessera/jinja/runtime.hpp"
#include "tessera/jinja/unicode.hpp"
#include "tessera/jinja/value.hpp"

namespace tessera::jinja {

/// A float as Python prints it: the fewest digits that read back as the same number, with an exponent below 1e-4 and
/// from 1e16 on.
[[nodiscard]] inline std::string float_text(double number) {
    if (std::isnan(number)) return "nan";
    if (std::isinf(number)) return number < 0 ? "-inf" : "inf";
    std::array<char, 40> buffer;
    const auto scientific =
        std::to_chars(buffer.data(), buffer.data() + buffer.size(), number, std::chars_format::scientific);
    const std::string_view shortest(buffer.data(), static_cast<std::size_t>(scientific.ptr - buffer.data()));
    const std::size_t e = shortest.find('e');
    int exponent = 0;
    std::from_chars(shortest.data() + e + (shortest[e + 1] == '+' ? 2 : 1), shortest.data() + shortest.size(),
                    exponent);
    if (exponent < -4 || exponent >= 16) return std::string(shortest);
    std::array<char, 40> fixed;
    const auto end = std::to_chars(fixed.data(), fixed.data() + fixed.size(), number, std::chars_format::fixed);
    std::string text(fixed.data(), end.ptr);
    return text.find('.') == std::string::npos ? text + ".0" : text;
}

namespace detail {

inline void append_hex(std::string& out, char32_t c, std::size_t digits) {
    for (std::size_t i = digits; i-- > 0;) out += "0123456789abcdef"[c >> 4 * i & 0xf];
}

// Characters that repr shows as they are: no controls, separators, formatting, and nothing for private use.
inline bool is_printable(char32_t c) { return c == ' ' || !(is_of_category(c, 'C') || is_of_category(c, 'Z')); }

// A string within a printed list: quoted, what cannot be seen escaped.
inline void append_quoted(std::string_view text, std::string& out) {
    const bool has_single = text.find('\'') != std::string_view::npos;
    const char quote = has_single && text.find('"') == std::string_view::npos ? '"' : '\'';
    out += quote;
    for_each_character(text, [&](std::string_view bytes) {
        const char32_t c = code_point(bytes);
        if (c == static_cast<unsigned char>(quote) || c == '\\')
            (out += '\\') += bytes;
        else if (c == '\n')
            out += "\\n";
        else if (c == '\r')
            out += "\\r";
        else if (c == '\t')
            out += "\\t";
        else if (is_printable(c))
            out += bytes;
        else if (c < 0x100)
            append_hex(out += "\\x", c, 2);
        else if (c < 0x10000)
            append_hex(out += "\\u", c, 4);
        else
            append_hex(out += "\\U", c, 8);
    });
    out += quote;
}

inline void append_repr(runtime& run, const value& v, std::string& out, std::size_t depth) {
    run.check_depth(depth);
    run.spend(8 + 4 * v.text().size());  // the longest that a character becomes
    const auto append_all = [&](const auto& items, auto&& append_one) {
        bool is_first = true;
        for (const auto& item : items) {
            if (!is_first) out += ", ";
            is_first = false;
            append_one(item);
        }
    };
    if (v.is<undefined>()) {
        out += "Undefined";
    } else if (v.is<none>()) {
        out += "None";
    } else if (const auto* truth = v.get<bool>()) {
        out += *truth ? "True" : "False";
    } else if (const auto* number = v.get<std::int64_t>()) {
        out += std::to_string(*number);
    } else if (const auto* real = v.get<double>()) {
        out += float_text(*real);
    } else if (v.is<string>()) {
        append_quoted(v.text(), out);
    } else if (const sequence* items = v.as_sequence(); items && items->kind != sequence_kind::generator) {
        const bool is_list = items->kind == sequence_kind::list;
        out += is_list ? '[' : '(';
        append_all(items->items, [&](const value& item) { append_repr(run, item, out, depth + 1); });
        out += is_list ? "]" : items->items.size() == 1 ? ",)" : ")";
    } else if (const mapping* entries = v.as_mapping()) {
        out += '{';
        append_all(entries->entries, [&](const auto& entry) {
            append_repr(run, entry.first, out, depth + 1);
            out += ": ";
            append_repr(run, entry.second, out, depth + 1);
        });
        out += '}';
    } else {
        ((out += '<') += type_name(v)) += " object>";
    }
}

}  // namespace detail

/// Python's repr.
[[nodiscard]] inline std::string repr(runtime& run, const value& v) {
    std::string out;
    detail::append_repr(run, v, out, 0);
    return out;
}

/// Appends Python's str of a value: a string as it is, anything else as repr has it, undefined as nothing.
inline void print(runtime& run, const value& v, std::string& out) {
    if (v.is<undefined>()) return;
    if (!v.is<string>()) return detail::append_repr(run, v, out, 0);
    run.spend(v.text().size());
    out += v.text();
}
[[nodiscard]] inline std::string printed(runtime& run, const value& v) {
    std::string out;
    print(run, v, out);
    run.spend(out.size());  // will be looked through, too
    return out;
}

}  // namespace tessera::jinja
