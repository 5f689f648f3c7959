// Unicode normal forms.
#pragma once

#include <utf8proc.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include "tessera/core/error.hpp"

namespace tessera::text {

/// What is done to text before it is cut.
enum class normalization { none, nfc };

/// The canonical composition (NFC) of valid UTF-8: letters and their accents as one character where Unicode has one.
[[nodiscard]] inline std::string composed(std::string_view text) {
    const auto is_ascii = [](char c) { return static_cast<unsigned char>(c) < 0x80; };
    const auto may_change = [](char c) { return static_cast<unsigned char>(c) >= 0xcc; };  // U+0300 and above
    if (std::none_of(text.begin(), text.end(), may_change)) return std::string(text);

    std::string out;
    out.reserve(text.size());
    while (!text.empty()) {
        // ASCII never changes, but its last character may take accents that follow.
        const auto other = std::find_if_not(text.begin(), text.end(), is_ascii);
        const auto plain = static_cast<std::size_t>(other - text.begin());
        const std::size_t kept = plain == text.size() ? plain : plain - std::min<std::size_t>(plain, 1);
        out.append(text.substr(0, kept));
        text.remove_prefix(kept);
        if (text.empty()) break;
        const auto end = std::find_if(text.begin() + static_cast<std::ptrdiff_t>(plain - kept), text.end(), is_ascii);
        const auto length = static_cast<std::size_t>(end - text.begin());
        utf8proc_uint8_t* mapped = nullptr;
        const utf8proc_ssize_t size =
            utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()), static_cast<utf8proc_ssize_t>(length),
                         &mapped, static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
        const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owner(mapped, &std::free);
        if (size < 0) fail("text: cannot normalize ", length, " bytes: ", utf8proc_errmsg(size));
        out.append(reinterpret_cast<const char*>(mapped), static_cast<std::size_t>(size));
        text.remove_prefix(length);
    }
    return out;
}

}  // namespace tessera::text
