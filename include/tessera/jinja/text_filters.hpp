// Filters on text and numbers.
#pragma once

#include <array>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tessera/jinja/builtin.hpp"
#include "tessera/jinja/json_text.hpp"
#include "tessera/jinja/lookup.hpp"
#include "tessera/jinja/operations.hpp"
#include "tessera/jinja/percent_format.hpp"
#include "tessera/jinja/print.hpp"
#include "tessera/jinja/string_methods.hpp"
#include "tessera/jinja/unicode.hpp"
#include "tessera/jinja/value.hpp"

namespace tessera::jinja {

namespace detail {

inline value default_filter(invocation& c) {
    const bool is_missing = c.self.is<undefined>() || (c.flag(1) && !is_true(c.self));
    return !is_missing ? c.self : c.has(0) ? c.given[0] : value(std::string());
}

inline value tojson_filter(invocation& c) {
    json_layout layout;
    if (c.flag(0)) layout.letters = json_layout::characters::ascii_only;
    if (c.has(1) && !c.given[1].is<none>()) {
        layout.item_separator = ",";
        const std::int64_t width = c.given[1].is<string>() ? 0 : std::clamp<std::int64_t>(c.integer(1, 0), 0, 1000);
        layout.indent =
            c.given[1].is<string>() ? std::string(c.text(1)) : std::string(static_cast<std::size_t>(width), ' ');
    }
    if (c.has(2) && !c.given[2].is<none>()) {
        const sequence* pair = c.given[2].as_sequence();
        if (pair == nullptr || pair->items.size() != 2)
            c.run.fail("tojson: wanted two separators, got a ", type_name(c.given[2]));
        layout.item_separator = pair->items[0].text();
        layout.key_separator = pair->items[1].text();
    }
    if (c.flag(3)) layout.keys = json_layout::order::sorted;
    return to_json_text(c.run, c.self, layout);
}

inline value indent_filter(invocation& c) {
    if (!c.self.is<string>()) c.run.fail("indent: wanted a string, got a ", type_name(defined(c.run, c.self)));
    const bool by_text = c.has(0) && c.given[0].is<string>();
    const std::string indention =
        by_text ? std::string(c.text(0))
                : std::string(static_cast<std::size_t>(std::clamp<std::int64_t>(c.integer(0, 4), 0, 1000)), ' ');
    const std::string text = std::string(c.self.text()) + '\n';
    std::string out = c.flag(1) ? indention : "";
    bool is_first = true;
    for_each_line(text, line_ends::dropped, [&](std::string_view line) {
        c.run.spend(1 + indention.size() + line.size());
        if (!is_first) out += '\n';
        if (!is_first && (c.flag(2) || !line.empty())) out += indention;
        is_first = false;
        out += line;
    });
    return out;
}

// Each word's first letter as a capital; words end at blanks, hyphens and opening brackets.
inline value title_filter(invocation& c) {
    std::string out;
    bool starts_word = true;
    for_each_character(printed(c.run, c.self), [&](std::string_view bytes) {
        const char32_t letter = code_point(bytes);
        append_code_point(out, starts_word ? upper(letter) : lower(letter));
        starts_word = is_space(letter) || std::u32string_view(U"-({[<").find(letter) != std::u32string_view::npos;
    });
    return c.run.text(std::move(out));
}

inline value escape_filter(invocation& c) {
    const std::string text = printed(c.run, c.self);
    c.run.spend(5 * text.size());  // the longest that a character becomes
    std::string out;
    for (const char letter : text) switch (letter) {
            case '&': out += "&amp;"; break;
            case '<': out += "&lt;"; break;
            case '>': out += "&gt;"; break;
            case '"': out += "&#34;"; break;
            case '\'': out += "&#39;"; break;
            default: out += letter;
        }
    return c.run.text(std::move(out));
}

inline value truncate_filter(invocation& c) {
    if (!c.self.is<string>()) c.run.fail("truncate: wanted a string, got a ", type_name(c.self));
    const std::string_view text = c.self.text(), end = c.text(2, "...");
    const std::int64_t length = c.integer(0, 255), leeway = c.integer(3, 5);
    const auto end_length = static_cast<std::int64_t>(length_of(end));
    if (length < end_length || leeway < 0)
        c.run.fail("truncate: wanted a length of at least ", end_length, ", got ", length);
    if (static_cast<std::int64_t>(length_of(text)) - leeway <= length) return c.self;
    std::string_view kept = text.substr(0, byte_offset(text, static_cast<std::size_t>(length - end_length)));
    if (!c.flag(1)) kept = kept.substr(0, kept.rfind(' '));
    return c.run.text(std::string(kept).append(end));
}

inline value wordcount_filter(invocation& c) {
    std::int64_t count = 0;
    bool in_word = false;
    for_each_character(printed(c.run, c.self), [&](std::string_view bytes) {
        const char32_t letter = code_point(bytes);
        const bool is_word = is_letter(letter) || is_digit(letter) || letter == '_';
        count += is_word && !in_word ? 1 : 0;
        in_word = is_word;
    });
    return count;
}

inline value format_filter(invocation& c) {
    std::vector<std::pair<value, value>> entries;
    for (const auto& [name, item] : c.named) entries.emplace_back(value(name), item);
    c.run.spend_elements(c.given.size());
    const value given = entries.empty() ? c.run.tuple(c.given) : c.run.map(std::move(entries));
    return c.run.text(percent_format(c.run, printed(c.run, c.self), given));
}

// The number that a whole text spells, blanks at its ends and underscores between digits aside.
inline std::optional<double> number_in(std::string_view text) {
    const std::string plain = replaced(stripped(text), "_", "");
    if (plain.empty()) return std::nullopt;
    for (const std::string_view word : {"nan", "inf", "infinity"}) {
        if (plain.size() > 1 + word.size()) continue;
        const std::string small = lower(plain);
        const bool is_signed = small[0] == '-' || small[0] == '+';
        if (small.substr(is_signed ? 1 : 0) == word) {
            const double special = word == "nan" ? std::nan("") : HUGE_VAL;
            return small[0] == '-' ? -special : special;
        }
    }
    double number = 0;
    const char* begin = plain.data() + (plain[0] == '+' ? 1 : 0);
    const auto [end, problem] = std::from_chars(begin, plain.data() + plain.size(), number, std::chars_format::general);
    if (end != plain.data() + plain.size() || problem == std::errc::invalid_argument) return std::nullopt;
    return problem == std::errc::result_out_of_range ? std::strtod(plain.c_str(), nullptr) : number;
}

inline std::optional<std::int64_t> integer_in(std::string_view text, int base) {
    std::string plain = replaced(lower(stripped(text)), "_", "");
    const bool is_negative = plain.starts_with('-');
    if (is_negative || plain.starts_with('+')) plain.erase(0, 1);
    for (const auto& [prefix, its_base] : {std::pair("0x", 16), std::pair("0o", 8), std::pair("0b", 2)})
        if (base == its_base && plain.starts_with(prefix)) plain.erase(0, 2);
    if (is_negative) plain.insert(0, "-");
    std::int64_t number = 0;
    const auto [end, problem] = std::from_chars(plain.data(), plain.data() + plain.size(), number, base);
    return problem == std::errc() && end == plain.data() + plain.size() ? std::optional(number) : std::nullopt;
}

inline value int_filter(invocation& c) {
    if (const auto number = as_integer(c.self)) return *number;
    const std::int64_t base = c.integer(1, 10);
    if (base < 2 || base > 36) c.run.fail("int: wanted a base of 2 to 36, got ", base);
    if (const auto number = c.self.is<string>() ? integer_in(c.self.text(), static_cast<int>(base)) : std::nullopt)
        return *number;
    const auto real = c.self.is<string>() ? number_in(c.self.text()) : as_float(c.self);
    if (real && std::abs(*real) < 9.2e18) return static_cast<std::int64_t>(*real);
    return c.has(0) ? c.given[0] : value(std::int64_t{0});
}

inline value float_filter(invocation& c) {
    if (const auto number = c.self.is<string>() ? number_in(c.self.text()) : as_float(c.self)) return *number;
    return c.has(0) ? c.given[0] : value(0.0);
}

inline value abs_filter(invocation& c) {
    if (const auto number = as_integer(defined(c.run, c.self))) {
        if (*number == std::numeric_limits<std::int64_t>::min())
            c.run.fail("wanted integers of 64 bits, got a larger one");
        return *number < 0 ? -*number : *number;
    }
    const auto number = as_float(c.self);
    if (!number) c.run.fail("bad operand type for abs(): '", type_name(c.self), "'");
    return std::abs(*number);
}

inline value round_filter(invocation& c) {
    const auto number = as_float(defined(c.run, c.self));
    if (!number) c.run.fail("round: wanted a number, got a ", type_name(c.self));
    const std::int64_t digits = std::clamp<std::int64_t>(c.integer(0, 0), -300, 300);
    const std::string_view method = c.text(1, "common");
    const double scale = std::pow(10.0, static_cast<double>(digits));
    if (method == "ceil") return std::ceil(*number * scale) / scale;
    if (method == "floor") return std::floor(*number * scale) / scale;
    if (method != "common") c.run.fail("round: wanted common, ceil or floor, got ", method);
    if (digits < 0 || !std::isfinite(*number)) return std::nearbyint(*number * scale) / scale;
    if (c.self.is<std::int64_t>()) return c.self;
    std::array<char, 700> text;  // printf rounds the exact value, ties to even, as Python does
    std::snprintf(text.data(), text.size(), "%.*f", static_cast<int>(digits), *number);
    return std::strtod(text.data(), nullptr);
}

}  // namespace detail

inline constexpr std::array text_filters{
    builtin{"abs", "", cost::what_it_does, detail::abs_filter},
    builtin{"attr", "name", cost::what_it_does,
            [](invocation& c) -> value {
                return detail::find_attribute(c.run, defined(c.run, c.self), c.text(0)).value_or(value());
            }},
    builtin{"capitalize", "", cost::sizes,
            [](invocation& c) { return c.run.text(capitalized(printed(c.run, c.self))); }},
    builtin{"center", "width?", cost::sizes,
            [](invocation& c) {
                c.self = printed(c.run, c.self);
                c.given = {c.integer(0, 80)};
                return detail::padded(c, ends::both);
            }},
    builtin{"d", "default_value? boolean?", cost::what_it_does, detail::default_filter},
    builtin{"default", "default_value? boolean?", cost::what_it_does, detail::default_filter},
    builtin{"e", "", cost::sizes, detail::escape_filter},
    builtin{"escape", "", cost::sizes, detail::escape_filter},
    builtin{"float", "default?", cost::sizes, detail::float_filter},
    builtin{"forceescape", "", cost::sizes, detail::escape_filter},
    builtin{"format", "*", cost::sizes, detail::format_filter},
    builtin{"indent", "width? first? blank?", cost::sizes, detail::indent_filter},
    builtin{"int", "default? base?", cost::sizes, detail::int_filter},
    builtin{"lower", "", cost::sizes, [](invocation& c) { return c.run.text(lower(printed(c.run, c.self))); }},
    builtin{"replace", "old new count?", cost::sizes,
            [](invocation& c) {
                c.self = printed(c.run, c.self);
                for (std::size_t i = 0; i < 2; ++i) c.given[i] = printed(c.run, c.given[i]);
                return find(string_methods, "replace")->function(c);
            }},
    builtin{"round", "precision? method?", cost::what_it_does, detail::round_filter},
    builtin{"safe", "", cost::sizes, [](invocation& c) -> value { return printed(c.run, c.self); }},
    builtin{"string", "", cost::what_it_does,
            [](invocation& c) -> value { return c.self.is<string>() ? c.self : value(printed(c.run, c.self)); }},
    builtin{"title", "", cost::sizes, detail::title_filter},
    builtin{"tojson", "ensure_ascii? indent? separators? sort_keys?", cost::what_it_does, detail::tojson_filter},
    builtin{"trim", "chars?", cost::sizes,
            [](invocation& c) {
                return c.run.text(std::string(strip(c.run, printed(c.run, c.self), ends::both, c.given[0])));
            }},
    builtin{"truncate", "length? killwords? end? leeway?", cost::sizes, detail::truncate_filter},
    builtin{"upper", "", cost::sizes, [](invocation& c) { return c.run.text(upper(printed(c.run, c.self))); }},
    builtin{"wordcount", "", cost::sizes, detail::wordcount_filter},
};

}  // namespace tessera::jinja
