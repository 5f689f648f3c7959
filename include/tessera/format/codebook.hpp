// What a code stands for, before scales: its level.
#pragma once

#include <cstdint>

#include "tessera/kernels/rounding.hpp"

namespace tessera {

/// Consecutive integers: code c stands for level c + Low; `Low` to `High` are the levels an encoder may use.
template <int Low, int High>
struct linear {
    static constexpr float low = static_cast<float>(Low);
    static constexpr float high = static_cast<float>(High);

    [[nodiscard]] static float level(std::uint8_t code) noexcept { return static_cast<float>(code + Low); }
    /// The code whose level is nearest to x; ties to even levels, NaN to the lowest.
    [[nodiscard]] static std::uint8_t code(float x) noexcept {
        return static_cast<std::uint8_t>(static_cast<int>(kernels::round_to_even(kernels::clamp(x, low, high))) - Low);
    }
    /// The level nearest to x, in a register of floats.
    template <class Batch>
    [[nodiscard]] static Batch nearest(Batch x) noexcept {
        return kernels::round_to_even(min(max(x, Batch(low)), Batch(high)));
    }
};

/// A signed byte in two's complement. `Low` to `High` are the levels an encoder may use; every byte decodes.
template <int Low, int High>
struct signed_byte : linear<Low, High> {
    [[nodiscard]] static float level(std::uint8_t code) noexcept {
        return static_cast<float>(static_cast<std::int8_t>(code));
    }
    [[nodiscard]] static std::uint8_t code(float x) noexcept {
        return static_cast<std::uint8_t>(linear<Low, High>::code(x) + Low);
    }
};

}  // namespace tessera
