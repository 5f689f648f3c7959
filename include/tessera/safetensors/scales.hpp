// The scales of 8-bit float tensors: which one belongs to which weight.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "tessera/core/bytes.hpp"
#include "tessera/core/tensor_info.hpp"
#include "tessera/safetensors/header.hpp"

namespace tessera::safetensors {

/// Rows and columns of weights that share one scale.
struct scale_block {
    std::uint64_t rows = 128;
    std::uint64_t columns = 128;
};

/// How a tensor of scales covers a tensor of weights. Every matrix of a stack of matrices has `grid_rows` x
/// `grid_columns` scales of its own, or all share one scale.
struct scale_grid {
    scale_block block;
    std::uint64_t grid_rows = 1;
    std::uint64_t grid_columns = 1;
    std::uint64_t matrices = 1;  ///< with scales of their own
};

/// The grid that fits the shapes of weights and scales: one scale in all, one per matrix, one per row, or one per block
/// of `block`; nothing when none of them does.
[[nodiscard]] inline std::optional<scale_grid> match_scales(const tensor_info& weights, const tensor_info& scales,
                                                            const scale_block& block) noexcept {
    const auto [columns, rows, stack, stacks] = weights.dims;
    if (scales.weights() == 1) return scale_grid{.block = {weights.rows(), columns}};
    if (scales.rank == 1 && weights.rank == 2 && scales.columns() == rows)
        return scale_grid{.block = {1, columns}, .grid_rows = rows};
    if (scales.dims[2] != stack || scales.dims[3] != stacks) return std::nullopt;

    for (const scale_block& candidate : {scale_block{rows, columns}, scale_block{1, columns}, block}) {
        const std::uint64_t grid_rows = (rows - 1) / candidate.rows + 1;
        const std::uint64_t grid_columns = (columns - 1) / candidate.columns + 1;
        if (scales.dims[0] == grid_columns && scales.dims[1] == grid_rows)
            return scale_grid{candidate, grid_rows, grid_columns, stack * stacks};
    }
    return std::nullopt;
}

/// Multiplies rows [first_row, ...) of `weights`, decoded in `values`, by their scales. `file` holds the scales.
inline void apply_scales(const scale_grid& grid, const stored_tensor& scales, byte_view file,
                         const tensor_info& weights, std::uint64_t first_row, std::span<float> values) {
    const std::uint64_t matrix_rows = grid.matrices == 1 ? weights.rows() : weights.dims[1];
    std::vector<float> row_scales(grid.grid_columns);
    std::optional<std::uint64_t> current;  // the row of scales that row_scales holds
    for (std::uint64_t r = 0; r * weights.columns() < values.size(); ++r) {
        const std::uint64_t row = first_row + r;
        const std::uint64_t grid_row = row / matrix_rows * grid.grid_rows + row % matrix_rows / grid.block.rows;
        if (grid_row != current) {
            const std::uint64_t bytes = grid.grid_columns * scales.element->bytes;
            scales.element->decode(file.subspan(scales.offset + grid_row * bytes, bytes), row_scales);
            current = grid_row;
        }
        std::span<float> rest = values.subspan(r * weights.columns(), weights.columns());
        for (const float scale : row_scales) {
            const std::size_t n = std::min<std::uint64_t>(grid.block.columns, rest.size());
            for (float& x : rest.first(n)) x *= scale;
            rest = rest.subspan(n);
        }
    }
}

}  // namespace tessera::safetensors
