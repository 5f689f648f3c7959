// Importances as encoders want them.
#pragma once

#include <array>
#include <cstddef>
#include <limits>
#include <span>

#include "tessera/kernels/lanes.hpp"
#include "tessera/kernels/rounding.hpp"
#include "tessera/kernels/simd.hpp"

namespace tessera {

/// Scales N importances to a mean of 1. What is no positive number becomes 0; when nothing else is given, or nothing at
/// all, all become 1. `to` is aligned for registers of Arch.
template <class Arch, std::size_t N>
void normalize_importance(std::span<const float> given, std::array<float, N>& to) noexcept {
    using batch = kernels::float_batch<Arch>;
    constexpr std::size_t lanes = kernels::lanes<Arch>;
    const batch zero(0.0f), largest(std::numeric_limits<float>::max());
    if (given.empty()) {
        to.fill(1.0f);
        return;
    }
    batch highest = zero, total = zero;
    for (std::size_t i = 0; i < N; i += lanes) {
        const batch weight = batch::load_unaligned(given.data() + i);
        const batch usable = xsimd::select((weight > zero) & (weight <= largest), weight, zero);
        usable.store_aligned(to.data() + i);
        highest = xsimd::max(highest, usable);
    }
    const batch unit(kernels::reciprocal_or_zero(kernels::max_lane<Arch>(highest)));  // else the sum might be infinite
    for (std::size_t i = 0; i < N; i += lanes) total += batch::load_aligned(to.data() + i) * unit;
    const float sum = kernels::sum_lanes<Arch>(total);
    if (sum == 0.0f) {
        to.fill(1.0f);
        return;
    }
    const batch mean_of_one(static_cast<float>(N) / sum);
    for (std::size_t i = 0; i < N; i += lanes)
        (batch::load_aligned(to.data() + i) * unit * mean_of_one).store_aligned(to.data() + i);
}

}  // namespace tessera
