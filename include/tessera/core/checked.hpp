// Arithmetic on lengths that come from files: nothing here can wrap.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>

namespace tessera {

/// a + b, or nothing when the sum does not fit 64 bits.
[[nodiscard]] constexpr std::optional<std::uint64_t> checked_add(std::uint64_t a, std::uint64_t b) noexcept {
    if (a > std::numeric_limits<std::uint64_t>::max() - b) return std::nullopt;
    return a + b;
}

/// a * b, or nothing when the product does not fit 64 bits.
[[nodiscard]] constexpr std::optional<std::uint64_t> checked_multiply(std::uint64_t a, std::uint64_t b) noexcept {
    if (b != 0 && a > std::numeric_limits<std::uint64_t>::max() / b) return std::nullopt;
    return a * b;
}

/// The smallest multiple of `alignment` that is not below `n`, or nothing when it does not fit. `alignment` > 0.
[[nodiscard]] constexpr std::optional<std::uint64_t> checked_align(std::uint64_t n, std::uint64_t alignment) noexcept {
    const std::uint64_t rest = n % alignment;
    return rest == 0 ? std::optional(n) : checked_add(n, alignment - rest);
}

}  // namespace tessera
