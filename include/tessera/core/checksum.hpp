// A checksum, to see whether bytes are still the same.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace tessera {

/// A 64-bit checksum of the byte strings that are appended; where one ends and the next begins counts, too. It finds
/// accidents, not attacks.
class checksum {
public:
    void append(const void* data, std::size_t size) noexcept {
        const auto* bytes = static_cast<const std::byte*>(data);
        mix(size);
        for (std::size_t at = 0; at < size; at += 8) {
            std::uint64_t word = 0;
            std::memcpy(&word, bytes + at, std::min<std::size_t>(8, size - at));
            mix(word);
        }
    }
    [[nodiscard]] std::uint64_t value() const noexcept { return state_; }

private:
    void mix(std::uint64_t word) noexcept {
        state_ = (state_ ^ word) * 0x9e3779b97f4a7c15u;  // odd, so nothing is lost; 2^64 over the golden ratio
        state_ ^= state_ >> 32;
    }

    std::uint64_t state_ = 0x243f6a8885a308d3u;  // digits of pi
};

}  // namespace tessera
