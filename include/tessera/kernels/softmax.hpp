// Softmax of a row.
#pragma once

#include <cstddef>
#include <span>

#include "tessera/kernels/exp.hpp"
#include "tessera/kernels/reduce.hpp"

namespace tessera::kernels {

/// Turns logits into probabilities, in place. The maximum is subtracted first; the sum runs in double.
inline void softmax(std::span<float> row) noexcept {
    const float largest = max(row);
    float* x = row.data();
    for (std::size_t i = 0; i < row.size(); ++i) x[i] = exp(x[i] - largest);
    const auto inverse = static_cast<float>(1.0 / sum<double>(row.size(), [x](std::size_t i) { return x[i]; }));
    for (std::size_t i = 0; i < row.size(); ++i) x[i] *= inverse;
}

}  // namespace tessera::kernels
