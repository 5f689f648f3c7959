// Finds numbers that are not finite, and says where.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string_view>

#include "tessera/core/error.hpp"
#include "tessera/decoder/matrix.hpp"
#include "tessera/kernels/reduce.hpp"

namespace tessera::decoder {

/// Throws naming place, window and token when a number of an activation is infinite or NaN. The first row is that of
/// `first_token`.
inline void require_finite(const matrix& values, std::size_t first_token, std::size_t window, std::string_view where,
                           int threads) {
    for_each_row_block(values.rows(), threads, [&](Eigen::Index first, Eigen::Index rows) {
        for (Eigen::Index r = first; r < first + rows; ++r) {
            const float* x = values.row(r).data();
            const auto columns = static_cast<std::size_t>(values.cols());
            if (kernels::all_finite({x, columns})) continue;
            const float* bad = std::find_if(x, x + columns, [](float v) { return !std::isfinite(v); });
            const std::size_t token = first_token + static_cast<std::size_t>(r);
            fail(where, ": window ", token / window, ", token ", token % window, ": wanted finite activations, got ",
                 *bad);
        }
    });
}

}  // namespace tessera::decoder
