// How much work encoding is, in multiply-adds or what takes as long: for estimates of time.
#pragma once

#include <cstdint>
#include <span>

#include "tessera/core/tensor_info.hpp"
#include "tessera/decoder/matrix_inputs.hpp"

namespace tessera {

/// Of rows that are copied or rounded to nearest.
[[nodiscard]] inline double copying_work(const tensor_info& tensor) noexcept {
    return 20.0 * static_cast<double>(tensor.weights());
}

/// Of a search for scales.
[[nodiscard]] inline double search_work(const tensor_info& tensor) noexcept {
    return 4000.0 * static_cast<double>(tensor.weights());
}

/// Of error feedback, where errors of columns move those after them.
[[nodiscard]] inline double feedback_work(const tensor_info& tensor) noexcept {
    return search_work(tensor) + 0.5 * static_cast<double>(tensor.weights() * tensor.columns());
}

/// Of second moments of the inputs of some tensors over `tokens` tokens, and of their factors. Of a stack of matrices a
/// token meets the share `used`.
[[nodiscard]] inline double learning_work(std::span<const tensor_info> tensors, std::uint64_t tokens, double used) {
    double work = 0;
    for (const decoder::matrix_input& input : decoder::matrix_inputs(tensors)) {
        const auto columns = static_cast<double>(input.columns), matrices = static_cast<double>(input.matrices);
        work += columns * columns * static_cast<double>(tokens) / 2 * (input.matrices > 1 ? matrices * used : 1.0);
        work += matrices * columns * columns * columns / 6;
    }
    return work;
}

}  // namespace tessera
