// Places in a template's source.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include "tessera/core/error.hpp"
#include "tessera/core/utf8.hpp"
#include "tessera/jinja/unicode.hpp"

namespace tessera::jinja {

/// A place in a source, as an offset in bytes.
using position = std::size_t;

/// A template's source with \n as the only line end, and the name under which messages refer to it.
class source_text {
public:
    /// Line ends of any kind become \n; one at the very end is dropped, as Jinja does. Throws when it is no UTF-8.
    source_text(std::string_view text, std::string name) : name_(std::move(name)) {
        text_.reserve(text.size());
        for (std::size_t i = 0; i < text.size(); ++i) {
            if (text[i] != '\r')
                text_ += text[i];
            else if (i + 1 == text.size() || text[i + 1] != '\n')
                text_ += '\n';
        }
        if (text_.ends_with('\n')) text_.pop_back();
        if (const std::size_t good = valid_utf8_prefix(text_); good < text_.size()) fail(good, "wanted UTF-8");
    }

    [[nodiscard]] std::string_view text() const noexcept { return text_; }
    [[nodiscard]] const std::string& name() const noexcept { return name_; }
    [[nodiscard]] std::size_t line(position at) const noexcept {
        return 1 + static_cast<std::size_t>(
                       std::count(text_.begin(), text_.begin() + static_cast<std::ptrdiff_t>(at), '\n'));
    }
    /// In characters, from 1.
    [[nodiscard]] std::size_t column(position at) const noexcept {
        const std::string_view before = text().substr(0, at);
        return 1 + length_of(before.substr(before.rfind('\n') + 1));
    }

    /// The template's name, line and column, as messages begin.
    [[nodiscard]] std::string where(position at) const {
        return concat(name_, ": line ", line(at), ", column ", column(at), ": ");
    }
    /// Throws tessera::error: the place, then the parts.
    template <class... Parts>
    [[noreturn]] void fail(position at, const Parts&... parts) const {
        tessera::fail(where(at), parts...);
    }

private:
    std::string text_;
    std::string name_;
};

}  // namespace tessera::jinja
