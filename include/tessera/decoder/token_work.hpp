// How much work a token is, before any is done.
#pragma once

#include <cstddef>
#include <numeric>
#include <span>
#include <vector>

#include "tessera/core/block_index.hpp"
#include "tessera/core/tensor_info.hpp"
#include "tessera/core/tied_table.hpp"

namespace tessera::decoder {

/// Multiply-adds with the weights of each layer that a token is, and, one past the last layer, of the output. Of a
/// stack of matrices (experts) a token meets the share `used`. Attention itself is left out: in windows of some
/// thousand tokens it is little beside.
[[nodiscard]] inline std::vector<double> token_work(std::span<const tensor_info> tensors, std::size_t layers,
                                                    double used) {
    std::vector<double> work(layers + 1, 0.0);
    const tensor_info* const tied = tied_table(tensors);
    for (const tensor_info& info : tensors) {
        if (info.rows() == 1) continue;
        const double weights = static_cast<double>(info.weights()) * (matrix_count(info) > 1 ? used : 1.0);
        if (&info == tied || info.name == output_name)
            work[layers] += weights;
        else if (const auto block = block_index(info.name); block && *block < layers)
            work[*block] += weights;
    }
    return work;
}

/// The same of all layers together.
[[nodiscard]] inline double work_of_layers(std::span<const double> work) {
    return std::accumulate(work.begin(), work.end() - 1, 0.0);
}

}  // namespace tessera::decoder
