// From the lanes of a register to one number.
#pragma once

#include <algorithm>
#include <array>
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
    const detail::lane_values<Arch> each(values);
    return *std::max_element(each.begin(), each.end());
}

}  // namespace tessera::kernels
