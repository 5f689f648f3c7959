// The smallest and the largest of a few values.
#pragma once

#include <cstddef>

#include "tessera/kernels/lanes.hpp"
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
    return {-max_lane<Arch>(-low), max_lane<Arch>(high)};
}

}  // namespace tessera::kernels
