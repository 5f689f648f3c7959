// The smallest and the largest of a few values.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>

#include "tessera/kernels/simd.hpp"

namespace tessera::kernels {

struct extremes {
    float lowest, highest;
};

/// The extremes of Count values, a multiple of the lanes. With NaN among them either may be anything.
template <std::size_t Count, class Arch>
[[nodiscard]] inline extremes find_extremes(const float* x) noexcept {
    using batch = float_batch<Arch>;
    static_assert(Count % lanes<Arch> == 0);
    batch low = batch::load_unaligned(x), high = low;
    for (std::size_t i = lanes<Arch>; i < Count; i += lanes<Arch>) {
        const batch value = batch::load_unaligned(x + i);
        low = xsimd::min(value, low);
        high = xsimd::max(value, high);
    }
    alignas(simd_alignment<Arch>) std::array<float, lanes<Arch>> lows, highs;
    low.store_aligned(lows.data());
    high.store_aligned(highs.data());
    for (std::size_t width = lanes<Arch> / 2; width > 0; width /= 2)
        for (std::size_t i = 0; i < width; ++i) {
            lows[i] = std::min(lows[i], lows[i + width]);
            highs[i] = std::max(highs[i], highs[i + width]);
        }
    return {lows[0], highs[0]};
}

}  // namespace tessera::kernels
