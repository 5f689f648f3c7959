// Finds weights that are too large for the scales of a format.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <limits>
#include <optional>
#include <span>

#include "tessera/format/concepts.hpp"

namespace tessera {

/// Smaller weights are within the scales of every format: UE4M3 ends at 448, and codes go up to 6 there.
inline constexpr float least_saturating_weight = 256.0f;

/// The weight of an encoded block that its scales were too small for; nothing when they were not. That is so when the
/// same block, brought down to about 1 by a power of two, loses much less. `decoded` is what became of the block.
template <block_format F>
[[nodiscard]] std::optional<std::size_t> find_saturated(std::span<const float, F::block_size> block,
                                                        std::span<const float, F::block_size> decoded) {
    const auto magnitude = [](float a, float b) { return std::fabs(a) < std::fabs(b); };
    const float largest = std::fabs(*std::ranges::max_element(block, magnitude));
    if constexpr (F::block_size == 1) return std::nullopt;
    if (!(largest >= least_saturating_weight) || !std::isfinite(largest)) return std::nullopt;

    const int exponent = std::ilogb(largest);
    std::array<float, F::block_size> small, small_decoded;
    for (std::size_t i = 0; i < F::block_size; ++i) small[i] = std::ldexp(block[i], -exponent);
    typename F::block packed;
    F::encode(small, packed);
    F::decode(packed, small_decoded);

    double lost = 0, needed = 0, norm = 0, worst = -1;
    std::size_t place = 0;
    for (std::size_t i = 0; i < F::block_size; ++i) {
        const double x = std::ldexp(double{block[i]}, -exponent);
        const double error = std::ldexp(double{decoded[i]}, -exponent) - x;
        const double least = double{small_decoded[i]} - double{small[i]};
        lost += error * error;
        needed += least * least;
        norm += x * x;
        if (std::fabs(error) > worst) {
            worst = std::fabs(error);
            place = i;
        }
    }
    // Encoders that weigh columns may lose somewhat more of the others; saturation shows in other dimensions.
    return lost > 4.0 * needed && lost > 1e-4 * norm ? std::optional(place) : std::nullopt;
}

}  // namespace tessera
