// Finds weights that are too large for the scales of a format.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <optional>
#include <span>

#include "tessera/format/concepts.hpp"

namespace tessera {

/// Smaller weights are within the scales of every format: UE4M3 ends at 448, and codes go up to 6 there.
inline constexpr float least_saturating_weight = 256.0f;

/// The weight of an encoded block that the scales of its format were too small for; nothing when they were not, or when
/// the encoder found others. They were too small when the plain reference does not reach as far as it does for the same
/// block brought down to about 1 by a power of two. `decoded` is what became of the block.
template <block_format F>
[[nodiscard]] std::optional<std::size_t> find_saturated(std::span<const float, F::block_size> block,
                                                        std::span<const float, F::block_size> decoded) {
    const auto largest_of = [](std::span<const float> values) {
        float largest = 0.0f;
        for (const float x : values) largest = std::max(largest, std::fabs(x));
        return largest;
    };
    const float largest = largest_of(block);
    if (F::block_size == 1 || !(largest >= least_saturating_weight) || !std::isfinite(largest)) return std::nullopt;

    const int exponent = std::ilogb(largest);
    std::array<float, F::block_size> small, of_small, of_block;
    for (std::size_t i = 0; i < F::block_size; ++i) small[i] = std::ldexp(block[i], -exponent);
    typename F::block packed;
    F::encode(small, packed);
    F::decode(packed, of_small);
    F::encode(block, packed);
    F::decode(packed, of_block);
    if (std::ldexp(double{largest_of(of_block)}, -exponent) > 0.99 * double{largest_of(of_small)}) return std::nullopt;

    double lost = 0, needed = 0, norm = 0, worst = -1;
    std::size_t place = 0;
    for (std::size_t i = 0; i < F::block_size; ++i) {
        const double x = small[i], error = std::ldexp(double{decoded[i]}, -exponent) - x,
                     least = double{of_small[i]} - x;
        lost += error * error;
        needed += least * least;
        norm += x * x;
        if (std::fabs(error) > worst) {
            worst = std::fabs(error);
            place = i;
        }
    }
    return lost > needed && lost > 1e-4 * norm ? std::optional(place) : std::nullopt;
}

}  // namespace tessera
