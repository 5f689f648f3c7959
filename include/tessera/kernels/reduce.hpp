// Sums and extremes over many values: vectorizable, and the same whatever the machine's registers.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <limits>
#include <span>

namespace tessera::kernels {

/// Interleaved partial results in a reduction: one register of 16 floats, or several smaller ones.
inline constexpr std::size_t reduction_lanes = 16;

/// The N sums over i in [0, count) of the values that `terms(i)` returns as std::array<Sum, N>. Term i goes to partial
/// sum i mod 16; the partial sums are added pairwise. A fixed order, so that the compiler need not reassociate.
template <class Sum, std::size_t N, class Terms>
[[nodiscard]] std::array<Sum, N> sums(std::size_t count, Terms&& terms) noexcept {
    constexpr std::size_t lanes = reduction_lanes;
    std::array<std::array<Sum, lanes>, N> partial{};
    std::size_t i = 0;
    for (; i + lanes <= count; i += lanes)
        for (std::size_t lane = 0; lane < lanes; ++lane) {
            const auto values = terms(i + lane);
            for (std::size_t k = 0; k < N; ++k) partial[k][lane] += static_cast<Sum>(values[k]);
        }
    for (std::size_t lane = 0; i + lane < count; ++lane) {
        const auto values = terms(i + lane);
        for (std::size_t k = 0; k < N; ++k) partial[k][lane] += static_cast<Sum>(values[k]);
    }
    std::array<Sum, N> totals;
    for (std::size_t k = 0; k < N; ++k) {
        for (std::size_t width = lanes / 2; width > 0; width /= 2)
            for (std::size_t lane = 0; lane < width; ++lane) partial[k][lane] += partial[k][lane + width];
        totals[k] = partial[k][0];
    }
    return totals;
}

/// The sum over i in [0, count) of `term(i)`, in the order of `sums`.
template <class Sum, class Term>
[[nodiscard]] Sum sum(std::size_t count, Term&& term) noexcept {
    return sums<Sum, 1>(count, [&](std::size_t i) { return std::array{term(i)}; })[0];
}

/// True when no value is infinite or NaN.
[[nodiscard]] inline bool all_finite(std::span<const float> values) noexcept {
    const float* x = values.data();
    return sum<float>(values.size(), [x](std::size_t i) { return x[i] * 0.0f; }) == 0.0f;  // NaN if one is not
}

/// The largest value, ignoring NaN; minus infinity when there is none.
[[nodiscard]] inline float max(std::span<const float> values) noexcept {
    std::array<float, reduction_lanes> partial;
    partial.fill(-std::numeric_limits<float>::infinity());
    const float* x = values.data();
    std::size_t i = 0;
    for (; i + reduction_lanes <= values.size(); i += reduction_lanes)
        for (std::size_t lane = 0; lane < reduction_lanes; ++lane)
            partial[lane] = x[i + lane] > partial[lane] ? x[i + lane] : partial[lane];
    for (; i < values.size(); ++i) partial[0] = x[i] > partial[0] ? x[i] : partial[0];
    return *std::max_element(partial.begin(), partial.end());
}

/// The position of the largest value, the first of equals; 0 when there is none but NaN.
[[nodiscard]] inline std::size_t argmax(std::span<const float> values) noexcept {
    constexpr std::size_t part = 1024;  // found by its maximum first; only this part is searched value by value
    std::size_t best_piece = 0;
    float best = -std::numeric_limits<float>::infinity();
    for (std::size_t i = 0; i < values.size(); i += part) {
        const float found = max(values.subspan(i, std::min(part, values.size() - i)));
        if (found > best) {
            best = found;
            best_piece = i;
        }
    }
    for (std::size_t i = best_piece; i < values.size(); ++i)
        if (values[i] == best) return i;
    return 0;
}

}  // namespace tessera::kernels
