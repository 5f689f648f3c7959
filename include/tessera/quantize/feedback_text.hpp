// The text that error feedback learns from.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace tessera {

/// A text that error feedback learns from, in windows of tokens.
struct feedback_text {
    std::span<const std::int32_t> used;
    std::span<const std::int32_t> held_back;  ///< judges what was learned; may be empty
    std::size_t window;                       ///< tokens in a window

    /// All of it, what is used first.
    [[nodiscard]] std::vector<std::int32_t> tokens() const {
        std::vector<std::int32_t> all(used.begin(), used.end());
        all.insert(all.end(), held_back.begin(), held_back.end());
        return all;
    }
};

}  // namespace tessera
