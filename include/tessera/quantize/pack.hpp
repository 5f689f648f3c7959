// A matrix in memory to blocks in memory.
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>

#include "tessera/core/parallel.hpp"
#include "tessera/core/view.hpp"
#include "tessera/encode/encoders.hpp"
#include "tessera/encode/knowledge.hpp"
#include "tessera/tensor/packed_matrix.hpp"

namespace tessera {

/// Packs a matrix. Throws when the columns are no whole number of blocks.
template <block_format F, encoder_for<F> Encoder = weighted>
[[nodiscard]] packed_matrix<F> quantize(matrix_view weights, const matrix_knowledge& known = {},
                                        const Encoder& encoder = {}, int threads = 1) {
    packed_matrix<F> packed(weights.rows(), weights.columns());
    constexpr std::size_t at_once = Encoder::rows_at_once;
    parallel_for((weights.rows() + at_once - 1) / at_once, threads, [&](std::size_t i) {
        const std::size_t first = i * at_once, rows = std::min(at_once, weights.rows() - first);
        const matrix_view tile(weights.values().subspan(first * weights.columns(), rows * weights.columns()),
                               weights.columns());
        encode_rows<F>(encoder, tile, known, packed.rows(first, rows));
    });
    return packed;
}

}  // namespace tessera
