// Text with parts of it replaced.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>

namespace tessera {

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

}  // namespace tessera
