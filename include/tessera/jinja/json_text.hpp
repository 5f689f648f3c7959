// Values as JSON text: the filter `tojson`.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tessera/core/utf8.hpp"
#include "tessera/jinja/operations.hpp"
#include "tessera/jinja/print.hpp"
#include "tessera/jinja/runtime.hpp"
#include "tessera/jinja/unicode.hpp"
#include "tessera/jinja/value.hpp"

namespace tessera::jinja {

/// How JSON text is laid out.
struct json_layout {
    std::optional<std::string> indent{};  ///< of one level; without it everything is on one line
    std::string item_separator = ", ";
    std::string key_separator = ": ";
    enum class characters { kept, ascii_only } letters = characters::kept;
    enum class order { kept, sorted } keys = order::kept;
};

namespace detail {

class json_writer {
public:
    json_writer(runtime& run, const json_layout& layout) : run_(run), layout_(layout) {}

    void write(const value& v, std::size_t depth = 0) {
        run_.check_depth(depth);
        run_.spend(1 + v.text().size());
        if (v.is<string>()) {
            write_string(v.text());
        } else if (const sequence* items = v.as_sequence(); items && items->kind != sequence_kind::generator) {
            write_all('[', ']', items->items, depth, [&](const value& item) { write(item, depth + 1); });
        } else if (const mapping* entries = v.as_mapping()) {
            const auto write_entry = [&](const auto& entry) {
                write_key(entry.first);
                out += layout_.key_separator;
                write(entry.second, depth + 1);
            };
            if (layout_.keys == json_layout::order::kept)
                return write_all('{', '}', entries->entries, depth, write_entry);
            run_.spend_elements(2 * entries->entries.size());
            auto sorted = entries->entries;
            std::stable_sort(sorted.begin(), sorted.end(), [&](const auto& a, const auto& b) {
                return compare(run_, a.first, b.first, "<") == std::partial_ordering::less;
            });
            write_all('{', '}', sorted, depth, write_entry);
        } else {
            out += scalar(v);
        }
    }

    std::string out;

private:
    std::string scalar(const value& v) {
        if (v.is<none>()) return "null";
        if (const auto* truth = v.get<bool>()) return *truth ? "true" : "false";
        if (const auto* number = v.get<std::int64_t>()) return std::to_string(*number);
        if (const auto* number = v.get<double>())
            return std::isfinite(*number) ? float_text(*number)
                   : std::isnan(*number)  ? "NaN"
                   : *number < 0          ? "-Infinity"
                                          : "Infinity";
        run_.fail("Object of type ", type_name(v), " is not JSON serializable");
    }

    void write_key(const value& key) {
        if (key.as_sequence() != nullptr) run_.fail("keys must be str, int, float, bool or None, not ", type_name(key));
        write_string(key.is<string>() ? key.text() : std::string_view(scalar(key)));
    }

    template <class Items, class Write>
    void write_all(char open, char close, const Items& items, std::size_t depth, Write&& write_one) {
        out += open;
        bool is_first = true;
        for (const auto& item : items) {
            run_.spend(layout_.item_separator.size() + layout_.key_separator.size());
            if (!is_first) out += layout_.item_separator;
            is_first = false;
            new_line(depth + 1);
            write_one(item);
        }
        if (!items.empty()) new_line(depth);
        out += close;
    }

    void new_line(std::size_t depth) {
        if (!layout_.indent) return;
        run_.spend(depth * (1 + layout_.indent->size()));
        out += '\n';
        for (std::size_t i = 0; i < depth; ++i) out += *layout_.indent;
    }

    void write_string(std::string_view text) {
        run_.spend(text.size());  // twice what is read: the most that usual text becomes
        out += '"';
        std::size_t charged = out.size() + 2 * text.size();
        for_each_character(text, [&](std::string_view bytes) {
            const char32_t c = code_point(bytes);
            if (out.size() > charged) {
                run_.spend(1024);
                charged += 1024;
            }
            switch (c) {
                case '"': out += "\\\""; return;
                case '\\': out += "\\\\"; return;
                case '\n': out += "\\n"; return;
                case '\r': out += "\\r"; return;
                case '\t': out += "\\t"; return;
                case '\f': out += "\\f"; return;
                case '\b': out += "\\b"; return;
                default: break;
            }
            if (c >= 0x20 && (c < 0x80 || layout_.letters == json_layout::characters::kept)) {
                out += bytes;
            } else if (c < 0x10000) {
                append_hex(out += "\\u", c, 4);
            } else {
                append_hex(out += "\\u", 0xd800 + ((c - 0x10000) >> 10), 4);
                append_hex(out += "\\u", 0xdc00 + ((c - 0x10000) & 0x3ff), 4);
            }
        });
        out += '"';
    }

    runtime& run_;
    const json_layout& layout_;
};

}  // namespace detail

/// A value as Python's json.dumps writes it: no escapes for HTML. Fails for undefined and for what is no data.
[[nodiscard]] inline std::string to_json_text(runtime& run, const value& v, const json_layout& layout = {}) {
    detail::json_writer writer(run, layout);
    writer.write(v);
    return std::move(writer.out);
}

}  // namespace tessera::jinja
