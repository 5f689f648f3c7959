// Rows of weights corrected for the error of their inputs.
#pragma once

#include "tessera/core/panels.hpp"
#include "tessera/core/view.hpp"
#include "tessera/decoder/matrix.hpp"

namespace tessera {

/// Rows w become w + w M.
template <class = void>
void correct(mutable_matrix_view rows, matrix_view correction) {
    decoder::matrix_map weights = decoder::map(rows);
    decoder::matrix moves(weights.rows(), weights.cols());
    for_each_panel(weights.cols(), [&](Eigen::Index first, Eigen::Index count) {
        moves.middleCols(first, count).noalias() = weights * decoder::map(correction).middleCols(first, count);
    });
    weights += moves;
}

}  // namespace tessera
