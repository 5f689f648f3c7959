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

#include "tessera/core/replaced.hpp"
#include "tessera/core/text_search.hpp"
#include "tessera/core/utf8.hpp"
#include "tessera/jinja/brace_format.hpp"
#include "tessera/jinja/builtin.hpp"
#include "tessera/jinja/operations.hpp"
#include "tessera/jinja/unicode.hpp"
#include "tessera/jinja/value.hpp"

namespace tessera::jinja {

/// A text without white space at its ends, or without the characters that `characters` lists.
[[nodiscard]] inline std::string_view strip(runtime& run, std::string_view text, ends which, const value& characters) {
    run.spend(text.size());
    if (!characters.is<string>()) return stripped(text, which);
    run.spend(16 * characters.text().size());
    std::vector<char32_t> listed;
    for_each_character(characters.text(), [&](std::string_view c) { listed.push_back(code_point(c)); });
    std::sort(listed.begin(), listed.end());
    return stripped(text, which, [&](std::string_view c) {
        return std::binary_search(listed.begin(), listed.end(), code_point(c));
    });
}

/// Calls visit(line) for the lines of Python's splitlines: `\n`, `\r\n`, `\r` and the other line ends of Unicode end
/// them.
enum class line_ends { kept, dropped };
template <class Visit>
void for_each_line(std::string_view text, line_ends ends, Visit&& visit) {
    for (std::size_t start = 0, at = 0; at < text.size();) {
        const std::size_t length = utf8_length(text[at]);
        const char32_t c = code_point(text.substr(at));
        at += length;
        const bool is_end =
            (c >= 0x0a && c <= 0x0d) || (c >= 0x1c && c <= 0x1e) || c == 0x85 || c == 0x2028 || c == 0x2029;
        if (!is_end && at < text.size()) continue;
        const std::size_t end = is_end ? at - length : at;
        if (c == '\r' && at < text.size() && text[at] == '\n') ++at;
        visit(text.substr(start, (ends == line_ends::kept ? at : end) - start));
        start = at;
    }
}

/// `text` with the first `most` occurrences of `from` replaced; an empty `from` is found around every character.
[[nodiscard]] inline std::string replaced_up_to(runtime& run, std::string_view text, std::string_view from,
                                                std::string_view to, std::int64_t most) {
    if (most < 0) most = std::numeric_limits<std::int64_t>::max();
    run.spend(text.size() + 4 * from.size());
    const text_search search(from);
    std::string out;
    while (most > 0) {
        const std::size_t found = search(text);
        if (found == std::string_view::npos) break;
        run.spend(found + to.size() + 1);
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

// Parts of a text, each charged when it is added.
class text_list {
public:
    explicit text_list(runtime& run) : run_(run) {}
    void operator()(std::string_view part) { items_.push_back(run_.text(std::string(part))); }
    [[nodiscard]] std::int64_t size() const noexcept { return static_cast<std::int64_t>(items_.size()); }
    [[nodiscard]] value in_order() { return run_.list(std::move(items_)); }
    [[nodiscard]] value from_the_right() {
        std::reverse(items_.begin(), items_.end());
        return in_order();
    }

private:
    runtime& run_;
    std::vector<value> items_;
};

// At white space; a limit leaves the rest in the last part.
inline value words(runtime& run, std::string_view text, std::int64_t most) {
    text_list parts(run);
    for (text = stripped(text, ends::left); !text.empty(); text = stripped(text, ends::left)) {
        std::size_t end = 0;
        while (end < text.size() && !is_space(code_point(text.substr(end)))) end += utf8_length(text[end]);
        if (most >= 0 && parts.size() == most) end = text.size();
        parts(text.substr(0, end));
        text.remove_prefix(end);
    }
    return parts.in_order();
}

inline value split(invocation& c) {
    std::string_view text = c.self.text();
    const std::int64_t most = c.integer(1, -1);
    if (!c.has(0) || c.given[0].is<none>()) return words(c.run, text, most);
    const std::string_view separator = c.text(0);
    if (separator.empty()) c.run.fail("empty separator");
    c.run.spend(4 * separator.size());
    const text_search search(separator);
    text_list parts(c.run);
    for (std::size_t at; (most < 0 || parts.size() < most) && (at = search(text)) != std::string_view::npos;) {
        parts(text.substr(0, at));
        text.remove_prefix(at + separator.size());
    }
    parts(text);
    return parts.in_order();
}

inline value rsplit(invocation& c) {
    std::string_view text = c.self.text();
    const std::int64_t most = c.integer(1, -1);
    const bool at_space = !c.has(0) || c.given[0].is<none>();
    if (at_space && most < 0) return words(c.run, text, most);
    const std::string_view separator = c.text(0);
    if (!at_space && separator.empty()) c.run.fail("empty separator");
    c.run.spend(4 * separator.size());
    const text_search search(separator, text_search::direction::backward);
    text_list parts(c.run);
    if (at_space) text = stripped(text, ends::right);
    while (!(at_space && text.empty())) {
        const bool is_last = most >= 0 && parts.size() == most;
        if (at_space) {
            const std::string_view before =
                stripped(text, ends::right, [](std::string_view s) { return !is_space(code_point(s)); });
            const std::size_t start = is_last ? 0 : before.size();
            parts(text.substr(start));
            text = stripped(text.substr(0, start), ends::right);
        } else {
            const std::size_t at = is_last ? std::string_view::npos : search(text);
            const bool is_found = at != std::string_view::npos;
            parts(is_found ? text.substr(at + separator.size()) : text);
            if (!is_found) break;
            text = text.substr(0, at);
        }
    }
    return parts.from_the_right();
}

enum class side { left, right };

// Where a text begins in c.self, seen from that side.
inline std::size_t place_in(invocation& c, std::string_view wanted, side which) {
    c.run.spend(4 * wanted.size());
    return text_search(wanted, which == side::left ? text_search::direction::forward
                                                   : text_search::direction::backward)(c.self.text());
}

inline value partition(invocation& c, side which) {
    const std::string_view text = c.self.text(), separator = c.text(0);
    if (separator.empty()) c.run.fail("empty separator");
    const std::size_t at = place_in(c, separator, which);
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
    const auto place = [&](std::int64_t i) {
        return static_cast<std::size_t>(std::clamp<std::int64_t>(i < 0 ? i + size : i, 0, size));
    };
    if (c.has(2)) text = text.substr(0, byte_offset(text, place(c.integer(2, size))));
    if (c.has(1)) text.remove_prefix(std::min(byte_offset(text, place(c.integer(1, 0))), text.size()));
    const auto matches = [&](const value& affix) {
        c.run.spend(1 + affix.text().size() / 16);
        if (!affix.is<string>()) c.run.fail("wanted a string or a tuple of strings, got a ", type_name(affix));
        return which == side::left ? text.starts_with(affix.text()) : text.ends_with(affix.text());
    };
    const sequence* several = c.given[0].as_sequence();
    if (several == nullptr || several->kind != sequence_kind::tuple) return matches(c.given[0]);
    return std::any_of(several->items.begin(), several->items.end(), matches);
}

inline std::int64_t find_in(invocation& c, side which) {
    const std::string_view text = c.self.text();
    const std::size_t at = place_in(c, c.text(0), which);
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
    if (part.empty()) return static_cast<std::int64_t>(length_of(text)) + 1;
    c.run.spend(4 * part.size());
    const text_search search(part);
    std::int64_t count = 0;
    for (std::size_t at; (at = search(text)) != std::string_view::npos; ++count) text.remove_prefix(at + part.size());
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
    builtin{"strip", "chars?", cost::sizes,
            [](invocation& c) -> value {
                return c.run.text(std::string(strip(c.run, c.self.text(), ends::both, c.given[0])));
            }},
    builtin{"lstrip", "chars?", cost::sizes,
            [](invocation& c) -> value {
                return c.run.text(std::string(strip(c.run, c.self.text(), ends::left, c.given[0])));
            }},
    builtin{"rstrip", "chars?", cost::sizes,
            [](invocation& c) -> value {
                return c.run.text(std::string(strip(c.run, c.self.text(), ends::right, c.given[0])));
            }},
    builtin{"split", "sep? maxsplit?", cost::sizes, detail::split},
    builtin{"rsplit", "sep? maxsplit?", cost::sizes, detail::rsplit},
    builtin{"splitlines", "keepends?", cost::sizes,
            [](invocation& c) {
                detail::text_list lines(c.run);
                for_each_line(c.self.text(), c.flag(0) ? line_ends::kept : line_ends::dropped, lines);
                return lines.in_order();
            }},
    builtin{"partition", "sep", cost::sizes, [](invocation& c) { return detail::partition(c, detail::side::left); }},
    builtin{"rpartition", "sep", cost::sizes, [](invocation& c) { return detail::partition(c, detail::side::right); }},
    builtin{"startswith", "prefix start? end?", cost::sizes,
            [](invocation& c) { return detail::has_affix(c, detail::side::left); }},
    builtin{"endswith", "suffix start? end?", cost::sizes,
            [](invocation& c) { return detail::has_affix(c, detail::side::right); }},
    builtin{"removeprefix", "prefix", cost::sizes,
            [](invocation& c) -> value {
                const std::string_view text = c.self.text(), prefix = c.text(0);
                return c.run.text(std::string(text.starts_with(prefix) ? text.substr(prefix.size()) : text));
            }},
    builtin{"removesuffix", "suffix", cost::sizes,
            [](invocation& c) -> value {
                const std::string_view text = c.self.text(), suffix = c.text(0);
                return c.run.text(
                    std::string(text.ends_with(suffix) ? text.substr(0, text.size() - suffix.size()) : text));
            }},
    builtin{"replace", "old new count?", cost::sizes,
            [](invocation& c) -> value {
                const std::int64_t most = c.integer(2, -1);
                return c.run.text(replaced_up_to(c.run, c.self.text(), c.text(0), c.text(1), most));
            }},
    builtin{"upper", "", cost::sizes, [](invocation& c) { return c.run.text(upper(c.self.text())); }},
    builtin{"lower", "", cost::sizes, [](invocation& c) { return c.run.text(lower(c.self.text())); }},
    builtin{"casefold", "", cost::sizes,
            [](invocation& c) { return c.run.text(replaced(lower(c.self.text()), "\xc3\x9f", "ss")); }},
    builtin{"title", "", cost::sizes, [](invocation& c) { return c.run.text(detail::titled(c.self.text())); }},
    builtin{"capitalize", "", cost::sizes, [](invocation& c) { return c.run.text(capitalized(c.self.text())); }},
    builtin{"find", "sub", cost::sizes, [](invocation& c) -> value { return detail::find_in(c, detail::side::left); }},
    builtin{"rfind", "sub", cost::sizes,
            [](invocation& c) -> value { return detail::find_in(c, detail::side::right); }},
    builtin{"index", "sub", cost::sizes, [](invocation& c) { return detail::index_in(c, detail::side::left); }},
    builtin{"rindex", "sub", cost::sizes, [](invocation& c) { return detail::index_in(c, detail::side::right); }},
    builtin{"count", "sub", cost::sizes, detail::count_in},
    builtin{"ljust", "width fillchar?", cost::sizes, [](invocation& c) { return detail::padded(c, ends::right); }},
    builtin{"rjust", "width fillchar?", cost::sizes, [](invocation& c) { return detail::padded(c, ends::left); }},
    builtin{"center", "width fillchar?", cost::sizes, [](invocation& c) { return detail::padded(c, ends::both); }},
    builtin{"zfill", "width", cost::sizes, detail::zfill},
    builtin{"isspace", "", cost::sizes,
            [](invocation& c) -> value { return detail::all_characters(c.self.text(), is_space); }},
    builtin{"isdigit", "", cost::sizes,
            [](invocation& c) -> value { return detail::all_characters(c.self.text(), is_digit); }},
    builtin{"isdecimal", "", cost::sizes,
            [](invocation& c) -> value { return detail::all_characters(c.self.text(), is_digit); }},
    builtin{"isnumeric", "", cost::sizes,
            [](invocation& c) -> value { return detail::all_characters(c.self.text(), is_digit); }},
    builtin{"isalpha", "", cost::sizes,
            [](invocation& c) -> value { return detail::all_characters(c.self.text(), is_letter); }},
    builtin{"isalnum", "", cost::sizes,
            [](invocation& c) -> value {
                return detail::all_characters(c.self.text(), [](char32_t l) { return is_letter(l) || is_digit(l); });
            }},
    builtin{"islower", "", cost::sizes, [](invocation& c) -> value { return is_lower(c.self.text()); }},
    builtin{"isupper", "", cost::sizes, [](invocation& c) -> value { return is_upper(c.self.text()); }},
    builtin{"join", "iterable", cost::sizes,
            [](invocation& c) -> value {
                std::string out;
                bool is_first = true;
                for (const value& item : elements(c.run, c.given[0])) {
                    if (!item.is<string>())
                        c.run.fail("sequence item: expected str instance, ", type_name(item), " found");
                    c.run.spend(c.self.text().size() + item.text().size());
                    if (!is_first) out += c.self.text();
                    is_first = false;
                    out += item.text();
                }
                return out;
            }},
    builtin{"format", "*", cost::sizes, [](invocation& c) { return c.run.text(brace_format(c)); }},
};

}  // namespace tessera::jinja
