// Text with parts of it replaced.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>

namespace tessera::text {

/// `text` with every occurrence of `from`, which is not empty, replaced by `to`.
[[nodiscard]] inline std::string replaced(std::string_view text, std::string_view from, std::string_view to) {
    std::string out;
    out.reserve(text.size());
    for (;;) {
        const std::size_t found = std::min(text.find(from), text.size());
        out.append(text.substr(0, found));
        if (found == text.size()) return out;
        out.append(to);
        text.remove_prefix(found + from.size());
    }
}

/// U+2581, the visible space of SentencePiece vocabularies.
inline constexpr std::string_view visible_space = "\xe2\x96\x81";

}  // namespace tessera::text
