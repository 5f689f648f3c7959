// The methods of strings.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tessera/core/utf8.hpp"
#include "tessera/text/replaced.hpp"
#include "tessera/text/template/brace_format.hpp"
#include "tessera/text/template/builtin.hpp"
#include "tessera/text/template/operations.hpp"
#include "tessera/text/template/unicode.hpp"
#include "tessera/text/template/value.hpp"

namespace tessera::text::jinja {

/// A text without white space at its ends, or without the characters that `characters` lists.
[[nodiscard]] inline std::string_view strip(std::string_view text, ends which, const value& characters) {
    if (!characters.is<string>()) return stripped(text, which);
    return stripped(text, which,
                    [&](std::string_view c) { return characters.text().find(c) != std::string_view::npos; });
}

/// Python's splitlines: \n, \r\n, \r and the other line ends of Unicode.
[[nodiscard]] inline std::vector<std::string_view> split_lines(std::string_view text, bool keeps_ends) {
    std::vector<std::string_view> lines;
    for (std::size_t start = 0, at = 0; at < text.size();) {
        const std::size_t length = utf8_length(text[at]);
        const char32_t c = code_point(text.substr(at));
        at += length;
        const bool is_end = (c >= 0x0a && c <= 0x0d) || (c >= 0x1c && c <= 0x1e) || c == 0x85 || c == 0x2028 || c == 0x2029;
        if (!is_end && at < text.size()) continue;
        const std::size_t end = is_end ? at - length : at;
        if (c == '\r' && at < text.size() && text[at] == '\n') ++at;
        lines.push_back(text.substr(start, (keeps_ends ? at : end) - start));
        start = at;
    }
    return lines;
}

/// `text` with the first `most` occurrences of `from` replaced; an empty `from` is found around every character.
[[nodiscard]] inline std::string replaced_up_to(std::string_view text, std::string_view from, std::string_view to,
                                                std::int64_t most) {
    if (most < 0) most = std::numeric_limits<std::int64_t>::max();
    std::string out;
    while (most > 0) {
        const std::size_t found = text.find(from);
        if (found == std::string_view::npos) break;
        out.append(text.substr(0, found)).append(to);
        text.remove_prefix(found + from.size());
        --most;
        if (from.empty()) {
            if (text.empty()) break;
            out.append(text.substr(0, utf8_length(text[0])));
            text.remove_prefix(utf8_length(text[0]));
        }
    }
    return out.append(text);
}

namespace detail {

inline value texts(invocation& c, const std::vector<std::string_view>& parts) {
    std::vector<value> items;
    for (const std::string_view part : parts) items.push_back(c.run.text(std::string(part)));
    return c.run.list(std::move(items));
}

// At white space; a limit leaves the rest in the last part.
inline std::vector<std::string_view> words(std::string_view text, std::int64_t most) {
    std::vector<std::string_view> parts;
    for (text = stripped(text, ends::left); !text.empty(); text = stripped(text, ends::left)) {
        std::size_t end = 0;
        while (end < text.size() && !is_space(code_point(text.substr(end)))) end += utf8_length(text[end]);
        if (most >= 0 && static_cast<std::int64_t>(parts.size()) == most) end = text.size();
        parts.push_back(text.substr(0, end));
        text.remove_prefix(end);
    }
    return parts;
}

inline value split(invocation& c) {
    std::string_view text = c.self.text();
    const std::int64_t most = c.integer(1, -1);
    c.run.spend(text.size());
    if (!c.has(0) || c.given[0].is<none>()) return texts(c, words(text, most));
    const std::string_view separator = c.text(0);
    if (separator.empty()) c.run.fail("empty separator");
    std::vector<std::string_view> parts;
    for (std::size_t at; (most < 0 || static_cast<std::int64_t>(parts.size()) < most) &&
                         (at = text.find(separator)) != std::string_view::npos;) {
        parts.push_back(text.substr(0, at));
        text.remove_prefix(at + separator.size());
    }
    parts.push_back(text);
    return texts(c, parts);
}

inline value rsplit(invocation& c) {
    std::string_view text = c.self.text();
    const std::int64_t most = c.integer(1, -1);
    c.run.spend(text.size());
    const bool at_space = !c.has(0) || c.given[0].is<none>();
    if (at_space && most < 0) return texts(c, words(text, most));
    const std::string_view separator = c.text(0);
    if (!at_space && separator.empty()) c.run.fail("empty separator");
    std::vector<std::string_view> parts;
    if (at_space) text = stripped(text, ends::right);
    while (!(at_space && text.empty())) {
        const bool is_last = most >= 0 && static_cast<std::int64_t>(parts.size()) == most;
        if (at_space) {
            const std::string_view before = stripped(text, ends::right, [](std::string_view s) { return !is_space(code_point(s)); });
            const std::size_t start = is_last ? 0 : before.size();
            parts.push_back(text.substr(start));
            text = stripped(text.substr(0, start), ends::right);
        } else {
            const std::size_t at = is_last ? std::string_view::npos : text.rfind(separator);
            const bool is_found = at != std::string_view::npos;
            parts.push_back(is_found ? text.substr(at + separator.size()) : text);
            if (!is_found) break;
            text = text.substr(0, at);
        }
    }
    std::reverse(parts.begin(), parts.end());
    return texts(c, parts);
}

enum class side { left, right };
inline value partition(invocation& c, side which) {
    const std::string_view text = c.self.text(), separator = c.text(0);
    if (separator.empty()) c.run.fail("empty separator");
    const std::size_t at = which == side::left ? text.find(separator) : text.rfind(separator);
    if (at == std::string_view::npos)
        return c.run.tuple(which == side::left ? std::vector<value>{text, std::string(), std::string()}
                                               : std::vector<value>{std::string(), std::string(), text});
    return c.run.tuple({c.run.text(std::string(text.substr(0, at))), separator,
                        c.run.text(std::string(text.substr(at + separator.size())))});
}

// The part that optional arguments for start and end name, and whether `startswith` or `endswith` holds for it.
inline value has_affix(invocation& c, side which) {
    std::string_view text = c.self.text();
    const auto size = static_cast<std::int64_t>(length_of(text));
    const auto place = [&](std::int64_t i) { return static_cast<std::size_t>(std::clamp<std::int64_t>(i < 0 ? i + size : i, 0, size)); };
    if (c.has(2)) text = text.substr(0, byte_offset(text, place(c.integer(2, size))));
    if (c.has(1)) text.remove_prefix(std::min(byte_offset(text, place(c.integer(1, 0))), text.size()));
    const auto matches = [&](const value& affix) {
        if (!affix.is<string>()) c.run.fail("wanted a string or a tuple of strings, got a ", type_name(affix));
        return which == side::left ? text.starts_with(affix.text()) : text.ends_with(affix.text());
    };
    const sequence* several = c.given[0].as_sequence();
    if (several == nullptr || several->kind != sequence_kind::tuple) return matches(c.given[0]);
    return std::any_of(several->items.begin(), several->items.end(), matches);
}

inline std::int64_t find_in(invocation& c, side which) {
    const std::string_view text = c.self.text();
    c.run.spend(text.size());
    const std::size_t at = which == side::left ? text.find(c.text(0)) : text.rfind(c.text(0));
    return at == std::string_view::npos ? -1 : static_cast<std::int64_t>(length_of(text.substr(0, at)));
}

inline value index_in(invocation& c, side which) {
    const std::int64_t at = find_in(c, which);
    if (at < 0) c.run.fail("substring not found");
    return at;
}

inline value count_in(invocation& c) {
    const std::string_view part = c.text(0);
    std::string_view text = c.self.text();
    c.run.spend(text.size());
    if (part.empty()) return static_cast<std::int64_t>(length_of(text)) + 1;
    std::int64_t count = 0;
    for (std::size_t at; (at = text.find(part)) != std::string_view::npos; ++count) text.remove_prefix(at + part.size());
    return count;
}

// Blanks (or another character) on the left, the right or both sides, up to a width.
inline value padded(invocation& c, ends where) {
    const std::string_view text = c.self.text(), fill = c.text(1, " ");
    if (length_of(fill) != 1) c.run.fail("the fill character must be exactly one character long");
    const std::int64_t missing = c.integer(0, 0) - static_cast<std::int64_t>(length_of(text));
    if (missing <= 0) return c.self;
    c.run.spend(static_cast<std::size_t>(missing) * fill.size());
    const auto total = static_cast<std::size_t>(missing);
    const std::size_t odd_one = total & static_cast<std::size_t>(c.integer(0, 0)) & 1;  // where str.center puts it
    const std::size_t left = where == ends::left ? total : where == ends::right ? 0 : total / 2 + odd_one;
    std::string out;
    for (std::size_t i = 0; i < left; ++i) out += fill;
    out += text;
    for (std::size_t i = left; i < total; ++i) out += fill;
    return out;
}

inline value zfill(invocation& c) {
    const std::string_view text = c.self.text();
    const std::int64_t missing = c.integer(0, 0) - static_cast<std::int64_t>(length_of(text));
    if (missing <= 0) return c.self;
    c.run.spend(static_cast<std::size_t>(missing));
    std::string out(text);
    return out.insert(text.starts_with('-') || text.starts_with('+') ? 1 : 0, static_cast<std::size_t>(missing), '0');
}

// Words with a capital first: letters after anything that is none.
inline std::string titled(std::string_view text) {
    std::string out;
    bool after_letter = false;
    for_each_character(text, [&](std::string_view bytes) {
        const char32_t c = code_point(bytes);
        append_code_point(out, after_letter ? lower(c) : upper(c));
        after_letter = is_letter(c);
    });
    return out;
}

// Whether there are characters and all of them pass.
template <class Passes>
bool all_characters(std::string_view text, Passes&& passes) {
    bool all = !text.empty();
    for_each_character(text, [&](std::string_view c) { all = all && passes(code_point(c)); });
    return all;
}

}  // namespace detail

/// Whether there are letters with two cases, all of them small (or all of them capitals).
[[nodiscard]] inline bool is_lower(std::string_view text) { return lower(text) == text && upper(text) != text; }
[[nodiscard]] inline bool is_upper(std::string_view text) { return upper(text) == text && lower(text) != text; }

/// The methods of Python's str, without those that deal in bytes.
inline constexpr std::array string_methods{
    builtin{"strip", "chars?", [](invocation& c) -> value { return c.run.text(std::string(strip(c.self.text(), ends::both, c.given[0]))); }},
    builtin{"lstrip", "chars?", [](invocation& c) -> value { return c.run.text(std::string(strip(c.self.text(), ends::left, c.given[0]))); }},
    builtin{"rstrip", "chars?", [](invocation& c) -> value { return c.run.text(std::string(strip(c.self.text(), ends::right, c.given[0]))); }},
    builtin{"split", "sep? maxsplit?", detail::split},
    builtin{"rsplit", "sep? maxsplit?", detail::rsplit},
    builtin{"splitlines", "keepends?", [](invocation& c) { return detail::texts(c, split_lines(c.self.text(), c.flag(0))); }},
    builtin{"partition", "sep", [](invocation& c) { return detail::partition(c, detail::side::left); }},
    builtin{"rpartition", "sep", [](invocation& c) { return detail::partition(c, detail::side::right); }},
    builtin{"startswith", "prefix start? end?", [](invocation& c) { return detail::has_affix(c, detail::side::left); }},
    builtin{"endswith", "suffix start? end?", [](invocation& c) { return detail::has_affix(c, detail::side::right); }},
    builtin{"removeprefix", "prefix",
            [](invocation& c) -> value {
                const std::string_view text = c.self.text(), prefix = c.text(0);
                return c.run.text(std::string(text.starts_with(prefix) ? text.substr(prefix.size()) : text));
            }},
    builtin{"removesuffix", "suffix",
            [](invocation& c) -> value {
                const std::string_view text = c.self.text(), suffix = c.text(0);
                return c.run.text(std::string(text.ends_with(suffix) ? text.substr(0, text.size() - suffix.size()) : text));
            }},
    builtin{"replace", "old new count?",
            [](invocation& c) -> value {
                const std::int64_t most = c.integer(2, -1);
                const std::string_view from = c.text(0), to = c.text(1);
                // The result is counted before it is made: it can be far longer than what it is made of.
                c.run.spend(c.self.text().size() / std::max<std::size_t>(from.size(), 1) * (to.size() + 1));
                return c.run.text(replaced_up_to(c.self.text(), from, to, most));
            }},
    builtin{"upper", "", [](invocation& c) { return c.run.text(upper(c.self.text())); }},
    builtin{"lower", "", [](invocation& c) { return c.run.text(lower(c.self.text())); }},
    builtin{"casefold", "", [](invocation& c) { return c.run.text(replaced(lower(c.self.text()), "\xc3\x9f", "ss")); }},
    builtin{"title", "", [](invocation& c) { return c.run.text(detail::titled(c.self.text())); }},
    builtin{"capitalize", "", [](invocation& c) { return c.run.text(capitalized(c.self.text())); }},
    builtin{"find", "sub", [](invocation& c) -> value { return detail::find_in(c, detail::side::left); }},
    builtin{"rfind", "sub", [](invocation& c) -> value { return detail::find_in(c, detail::side::right); }},
    builtin{"index", "sub", [](invocation& c) { return detail::index_in(c, detail::side::left); }},
    builtin{"rindex", "sub", [](invocation& c) { return detail::index_in(c, detail::side::right); }},
    builtin{"count", "sub", detail::count_in},
    builtin{"ljust", "width fillchar?", [](invocation& c) { return detail::padded(c, ends::right); }},
    builtin{"rjust", "width fillchar?", [](invocation& c) { return detail::padded(c, ends::left); }},
    builtin{"center", "width fillchar?", [](invocation& c) { return detail::padded(c, ends::both); }},
    builtin{"zfill", "width", detail::zfill},
    builtin{"isspace", "", [](invocation& c) -> value { return detail::all_characters(c.self.text(), is_space); }},
    builtin{"isdigit", "", [](invocation& c) -> value { return detail::all_characters(c.self.text(), is_digit); }},
    builtin{"isdecimal", "", [](invocation& c) -> value { return detail::all_characters(c.self.text(), is_digit); }},
    builtin{"isnumeric", "", [](invocation& c) -> value { return detail::all_characters(c.self.text(), is_digit); }},
    builtin{"isalpha", "", [](invocation& c) -> value { return detail::all_characters(c.self.text(), is_letter); }},
    builtin{"isalnum", "",
            [](invocation& c) -> value {
                return detail::all_characters(c.self.text(), [](char32_t l) { return is_letter(l) || is_digit(l); });
            }},
    builtin{"islower", "", [](invocation& c) -> value { return is_lower(c.self.text()); }},
    builtin{"isupper", "", [](invocation& c) -> value { return is_upper(c.self.text()); }},
    builtin{"join", "iterable",
            [](invocation& c) -> value {
                std::string out;
                bool is_first = true;
                for (const value& item : elements(c.run, c.given[0])) {
                    if (!item.is<string>()) c.run.fail("sequence item: expected str instance, ", type_name(item), " found");
                    c.run.spend(c.self.text().size() + item.text().size());
                    if (!is_first) out += c.self.text();
                    is_first = false;
                    out += item.text();
                }
                return out;
            }},
    builtin{"format", "*", [](invocation& c) { return c.run.text(brace_format(c)); }},
};

}  // namespace tessera::text::jinja
