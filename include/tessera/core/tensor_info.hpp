// A tensor's name, shape and storage, as every container and every selection strategy sees it.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "tessera/core/checked.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/type_id.hpp"

namespace tessera {

/// A tensor as GGUF describes it. `dims[0]` is the row length (fastest varying, PyTorch's last axis); missing
/// dimensions are 1. Rows follow each other without gaps, so a tensor is `rows()` rows of `row_bytes()` bytes.
struct tensor_info {
    std::string name;
    std::array<std::uint64_t, 4> dims{1, 1, 1, 1};
    std::uint32_t rank = 1;  ///< dimensions as written in the file, 0 to 4
    type_layout layout = f32_layout;

    [[nodiscard]] type_id type() const noexcept { return layout.id; }
    [[nodiscard]] std::uint64_t columns() const noexcept { return dims[0]; }
    [[nodiscard]] std::uint64_t rows() const noexcept { return dims[1] * dims[2] * dims[3]; }
    [[nodiscard]] std::uint64_t weights() const noexcept { return columns() * rows(); }
    [[nodiscard]] std::uint64_t row_bytes() const noexcept {
        return columns() / layout.block_size * layout.block_bytes;
    }
    [[nodiscard]] std::uint64_t bytes() const noexcept { return row_bytes() * rows(); }
    /// Dimensions that are not a trailing 1; at least 1. (ggml_n_dims)
    [[nodiscard]] std::uint32_t effective_rank() const noexcept {
        std::uint32_t n = 4;
        while (n > 1 && dims[n - 1] == 1) --n;
        return n;
    }
};

/// The matrices in a tensor: one, or as many as a stack has (experts, heads).
[[nodiscard]] inline std::uint64_t matrix_count(const tensor_info& info) noexcept {
    return info.dims[2] * info.dims[3];
}

/// The weights of all tensors.
[[nodiscard]] inline std::uint64_t weights_of(std::span<const tensor_info> tensors) noexcept {
    std::uint64_t weights = 0;
    for (const tensor_info& info : tensors) weights += info.weights();
    return weights;
}

/// True when weights and bytes of the shape fit 63 bits and rows are whole blocks: what every other member relies on.
[[nodiscard]] inline bool has_sound_shape(const tensor_info& info) noexcept {
    std::optional<std::uint64_t> count = 1;
    for (const std::uint64_t dim : info.dims)
        if (count) count = checked_multiply(*count, dim);
    // At most 8 bytes a weight, in every type: with 2^60 weights the byte count fits, too.
    return count && *count <= (std::uint64_t{1} << 59) && info.dims[0] % info.layout.block_size == 0 &&
           std::all_of(info.dims.begin(), info.dims.end(),
                       [](std::uint64_t dim) { return dim < (std::uint64_t{1} << 59); });
}

/// The same tensor stored in another type. Throws when the row length is no multiple of its block size.
[[nodiscard]] inline tensor_info with_layout(tensor_info info, const type_layout& layout) {
    if (info.columns() % layout.block_size != 0)
        fail("tensor ", info.name, ": rows of ", info.columns(), " weights are no multiple of ", layout.name,
             "'s block of ", layout.block_size);
    info.layout = layout;
    return info;
}

}  // namespace tessera
