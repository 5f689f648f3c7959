// Means with their errors, and percentiles.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <span>
#include <vector>

#include "tessera/config.hpp"

namespace tessera {

/// A figure and its standard error.
struct estimate {
    double value = 0;
    double error = 0;
};

/// Sums of one quantity, for its mean.
struct moments {
    double sum = 0;
    double squares = 0;

    void add(double x) noexcept {
        sum += x;
        squares += x * x;
    }
    void merge(const moments& other) noexcept {
        sum += other.sum;
        squares += other.squares;
    }
    /// The mean of `count` values; its error is 0 for 10 values or fewer, as in llama.cpp.
    [[nodiscard]] estimate mean(std::size_t count) const noexcept {
        if (count == 0) return {};
        const auto n = static_cast<double>(count);
        const double mean = sum / n;
        const double variance = squares / n - mean * mean;
        return {mean, count > 10 && variance > 0 ? std::sqrt(variance / (n - 1)) : 0.0};
    }
};

/// The mean of `after` - `before`, pair by pair: what two figures of the same tokens have in common cancels.
[[nodiscard]] inline estimate mean_change(std::span<const float> before, std::span<const float> after) noexcept {
    TESSERA_ASSERT(before.size() == after.size(), "the same tokens");
    moments changes;
    for (std::size_t i = 0; i < before.size(); ++i) changes.add(double{after[i]} - double{before[i]});
    return changes.mean(before.size());
}

/// The mean of `after` over that of `before`; its error is that of numbers which belong together pair by pair.
[[nodiscard]] inline estimate mean_ratio(std::span<const float> before, std::span<const float> after) noexcept {
    TESSERA_ASSERT(before.size() == after.size(), "the same tokens");
    moments all;
    for (const float x : before) all.add(double{x});
    const double base = all.mean(before.size()).value;
    moments rest;  // of `after`, less what it would be if the ratio was the same everywhere
    double sum = 0;
    for (const float x : after) sum += double{x};
    const double ratio =
        base == 0 ? std::numeric_limits<double>::quiet_NaN() : sum / static_cast<double>(after.size()) / base;
    for (std::size_t i = 0; i < before.size(); ++i) rest.add(double{after[i]} - ratio * double{before[i]});
    return {ratio, rest.mean(before.size()).error / base};
}

/// Order statistics of a set of numbers.
class percentiles {
public:
    percentiles() = default;
    explicit percentiles(std::span<const float> values) : sorted_(values.begin(), values.end()) {
        std::sort(sorted_.begin(), sorted_.end());
    }

    /// The value below which the share `fraction` in [0, 1] of the numbers lies, interpolated between neighbours: 0 is
    /// the minimum, 0.5 the median, 1 the maximum. NaN when there are no numbers.
    [[nodiscard]] double operator()(double fraction) const noexcept {
        if (sorted_.empty()) return std::numeric_limits<double>::quiet_NaN();
        const double place = fraction * static_cast<double>(sorted_.size() - 1);
        const auto below = static_cast<std::size_t>(place);
        const auto above = std::min(below + 1, sorted_.size() - 1);
        return std::lerp(double{sorted_[below]}, double{sorted_[above]}, place - static_cast<double>(below));
    }

private:
    std::vector<float> sorted_;
};

}  // namespace tessera
