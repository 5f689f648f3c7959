// The middle of several measurements.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

/// The one in the middle. Precondition: there is one.
[[nodiscard]] inline double median(std::vector<double> values) {
    const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
    std::ranges::nth_element(values, middle);
    return *middle;
}
