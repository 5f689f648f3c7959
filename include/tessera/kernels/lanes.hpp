// From the lanes of a register to one number.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <numeric>

#include "tessera/kernels/simd.hpp"

namespace tessera::kernels {

namespace detail {
template <class Arch>
struct alignas(simd_alignment<Arch>) lane_values : std::array<float, lanes<Arch>> {
    explicit lane_values(float_batch<Arch> values) noexcept { values.store_aligned(this->data()); }
};
}  // namespace detail

/// The sum of all lanes, from the first to the last.
template <class Arch>
[[nodiscard]] inline float sum_lanes(float_batch<Arch> values) noexcept {
    const detail::lane_values<Arch> each(values);
    return std::accumulate(each.begin(), each.end(), 0.0f);
}

/// The largest lane. There is no NaN.
template <class Arch>
[[nodiscard]] inline float max_lane(float_batch<Arch> values) noexcept {
    detail::lane_values<Arch> each(values);
    for (std::size_t width = lanes<Arch> / 2; width > 0; width /= 2)  // in halves: few steps wait for each other
        for (std::size_t i = 0; i < width; ++i) each[i] = std::max(each[i], each[i + width]);
    return each[0];
}

}  // namespace tessera::kernels
