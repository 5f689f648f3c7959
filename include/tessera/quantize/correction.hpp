// Rows of weights corrected for the error of their inputs.
#pragma once

#include "tessera/core/view.hpp"
#include "tessera/decoder/matrix.hpp"

namespace tessera {

/// Rows w become w + w M.
template <class = void>
void correct(mutable_matrix_view rows, matrix_view correction) {
    decoder::matrix_map weights = decoder::map(rows);
    const decoder::matrix moves = weights * decoder::map(correction);
    weights += moves;
}

}  // namespace tessera
