// printf-like formatting: the operator % on strings, and the filter `format`.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "tessera/jinja/operations.hpp"
#include "tessera/jinja/print.hpp"
#include "tessera/jinja/runtime.hpp"
#include "tessera/jinja/value.hpp"

namespace tessera::jinja {

namespace detail {

// One %... of a format: the values it takes come from the right-hand side in turn, or by name.
class percent_formatter {
public:
    percent_formatter(runtime& run, const value& given) : run_(run), given_(given) {
        if (const sequence* items = given.as_sequence(); items && items->kind == sequence_kind::tuple) {
            run.spend_elements(items->items.size());
            rest_ = items->items;
        } else {
            rest_ = {given};
        }
    }

    std::string operator()(std::string_view format) {
        run_.spend(format.size());
        std::string out;
        while (!format.empty()) {
            const std::size_t plain = std::min(format.find('%'), format.size());
            out += format.substr(0, plain);
            format.remove_prefix(plain);
            const std::size_t before = out.size();
            if (!format.empty()) append_one(format, out);
            run_.spend(1 + out.size() - before);  // widths are at most 1000
        }
        if (next_ < rest_.size() && given_.as_mapping() == nullptr)
            run_.fail("not all arguments converted during string formatting");
        return out;
    }

private:
    // Consumes "%(name)-05.2f" from the front of the format.
    void append_one(std::string_view& format, std::string& out) {
        format.remove_prefix(1);
        const value* named = nullptr;
        if (format.starts_with('(')) {
            const std::size_t end = format.find(')');
            mapping* entries = given_.as_mapping();
            if (end == std::string_view::npos || entries == nullptr) run_.fail("format requires a mapping");
            named = find(run_, *entries, format.substr(1, end - 1));
            if (named == nullptr) run_.fail("wanted a value for ", format.substr(1, end - 1), ", got none");
            format.remove_prefix(end + 1);
        }
        const std::size_t flag_count = std::min(format.find_first_not_of("-+ #0"), format.size());
        std::string flags(format.substr(0, flag_count));
        format.remove_prefix(flag_count);
        const int width = number(format);
        int precision = -1;
        if (format.starts_with('.')) {
            format.remove_prefix(1);
            precision = number(format);
        }
        if (format.empty()) run_.fail("incomplete format");
        const char kind = format.front();
        format.remove_prefix(1);
        if (kind == '%') {
            out += '%';
            return;
        }
        if (named == nullptr && next_ == rest_.size()) run_.fail("not enough arguments for format string");
        const value& v = named != nullptr ? *named : rest_[next_++];
        if (kind == 's' || kind == 'r')
            append_padded(kind == 's' ? printed(run_, v) : repr(run_, v), flags, width, precision, out);
        else
            append_number(v, kind, flags, width, precision, out);
    }

    int number(std::string_view& format) {
        int n = 0;
        for (; !format.empty() && is_digit(static_cast<unsigned char>(format[0])); format.remove_prefix(1)) {
            n = 10 * n + (format[0] - '0');
            if (n > 1000) run_.fail("wanted a width of at most 1000 in a format, got more");
        }
        return n;
    }

    static void append_padded(std::string_view text, const std::string& flags, int width, int precision,
                              std::string& out) {
        if (precision >= 0) text = text.substr(0, byte_offset(text, static_cast<std::size_t>(precision)));
        const std::size_t length = length_of(text);
        const std::string blanks(
            static_cast<std::size_t>(width) > length ? static_cast<std::size_t>(width) - length : 0, ' ');
        const bool is_left = flags.find('-') != std::string::npos;
        ((out += is_left ? "" : blanks) += text) += is_left ? blanks : "";
    }

    void append_number(const value& v, char kind, const std::string& flags, int width, int precision,
                       std::string& out) {
        std::array<char, 2048> text;  // the longest double has 310 digits before the point, width and precision 1000
        int length = 0;
        if (std::string_view("dixXo").find(kind) != std::string_view::npos) {
            auto n = as_integer(v);
            if (const auto* real = v.get<double>(); real && std::abs(*real) < 9e18 && (kind == 'd' || kind == 'i'))
                n = static_cast<std::int64_t>(*real);
            if (!n) run_.fail("%", kind, " format: a number is required, not ", type_name(v));
            const std::string format = "%" + flags + "*.*l" + kind;
            length = std::snprintf(text.data(), text.size(), format.c_str(), width, precision, static_cast<long>(*n));
        } else if (std::string_view("eEfFgG").find(kind) != std::string_view::npos) {
            const auto n = as_float(v);
            if (!n) run_.fail("must be real number, not ", type_name(v));
            const std::string format = "%" + flags + "*.*" + kind;
            length = std::snprintf(text.data(), text.size(), format.c_str(), width, precision, *n);
        } else {
            run_.fail("unsupported format character '", kind, "'");
        }
        out.append(text.data(), static_cast<std::size_t>(std::clamp<int>(length, 0, text.size() - 1)));
    }

    runtime& run_;
    const value& given_;
    std::vector<value> rest_;
    std::size_t next_ = 0;
};

}  // namespace detail

/// `format % given`: conversions d i x X o e E f F g G s r and %%, with flags, width, precision and (names).
[[nodiscard]] inline std::string percent_format(runtime& run, std::string_view format, const value& given) {
    return detail::percent_formatter(run, given)(format);
}

}  // namespace tessera::jinja
