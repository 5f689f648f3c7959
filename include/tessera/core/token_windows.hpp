// Windows of tokens: what models are calibrated and measured on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "tessera/core/error.hpp"

namespace tessera {

/// Windows of equal length, one after another.
class token_windows {
public:
    /// `tokens` holds a whole number of windows, at least one; a window of fewer than 3 tokens has nothing to score.
    token_windows(std::vector<std::int32_t> tokens, std::size_t length) : tokens_(std::move(tokens)), length_(length) {
        if (length_ < 3) fail("windows: wanted a length of at least 3 tokens, got ", length_);
        if (tokens_.empty() || tokens_.size() % length_ != 0)
            fail("windows: wanted a multiple of ", length_, " tokens, got ", tokens_.size());
    }

    [[nodiscard]] std::size_t size() const noexcept { return tokens_.size() / length_; }
    [[nodiscard]] std::size_t length() const noexcept { return length_; }
    [[nodiscard]] std::span<const std::int32_t> window(std::size_t i) const noexcept {
        return std::span(tokens_).subspan(i * length_, length_);
    }
    /// All windows in one row.
    [[nodiscard]] std::span<const std::int32_t> tokens() const noexcept { return tokens_; }

private:
    std::vector<std::int32_t> tokens_;
    std::size_t length_;
};

}  // namespace tessera
