// Windows of tokens: what models are calibrated and measured on.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "tessera/core/error.hpp"

namespace tessera {

/// Windows of equal length, one after another.
class token_windows {
public:
    /// `tokens` holds a whole number of windows, at least one.
    token_windows(std::vector<std::int32_t> tokens, std::size_t length) : tokens_(std::move(tokens)), length_(length) {
        if (tokens_.empty() || length_ == 0 || tokens_.size() % length_ != 0)
            fail("tokens: wanted whole windows of ", length_, ", got ", tokens_.size());
    }

    [[nodiscard]] std::size_t size() const noexcept { return tokens_.size() / length_; }
    [[nodiscard]] std::size_t length() const noexcept { return length_; }
    [[nodiscard]] std::span<const std::int32_t> window(std::size_t i) const noexcept {
        return std::span(tokens_).subspan(i * length_, length_);
    }
    /// The first windows, at most all of them.
    [[nodiscard]] token_windows first(std::size_t count) const {
        const auto tokens = std::span(tokens_).first(std::min(count, size()) * length_);
        return {{tokens.begin(), tokens.end()}, length_};
    }
    /// Chosen ones, in the order given; at least one.
    [[nodiscard]] token_windows some(std::span<const std::size_t> chosen) const {
        std::vector<std::int32_t> tokens;
        for (const std::size_t i : chosen) tokens.insert(tokens.end(), window(i).begin(), window(i).end());
        return {std::move(tokens), length_};
    }
    /// All windows in one row.
    [[nodiscard]] std::span<const std::int32_t> tokens() const noexcept { return tokens_; }

private:
    std::vector<std::int32_t> tokens_;
    std::size_t length_;
};

/// Windows to calibrate on, and others held out to judge by.
struct divided_windows {
    token_windows used;
    std::optional<token_windows> held_out{};

    /// All of them, those to calibrate on first.
    [[nodiscard]] token_windows all() const {
        std::vector<std::int32_t> tokens(used.tokens().begin(), used.tokens().end());
        if (held_out) tokens.insert(tokens.end(), held_out->tokens().begin(), held_out->tokens().end());
        return {std::move(tokens), used.length()};
    }
};

}  // namespace tessera
