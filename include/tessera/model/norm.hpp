// RMS normalisation.
#pragma once

#include <cmath>
#include <cstddef>
#include <span>

#include "tessera/kernels/reduce.hpp"
#include "tessera/model/matrix.hpp"

namespace tessera::model {

/// out = x / sqrt(mean(x^2) + epsilon) * weight. The mean runs in double. `x` and `out` may be the same.
inline void rms_norm(std::span<const float> x, std::span<const float> weight, double epsilon, std::span<float> out) {
    const double squares = kernels::sum<double>(
        x.size(), [&](std::size_t i) { return static_cast<double>(x[i]) * static_cast<double>(x[i]); });
    const auto scale = static_cast<float>(1.0 / std::sqrt(squares / static_cast<double>(x.size()) + epsilon));
    for (std::size_t i = 0; i < x.size(); ++i) out[i] = x[i] * scale * weight[i];
}

/// Normalises every row of `in` into `out`.
template <class In>
void rms_norm_rows(const In& in, std::span<const float> weight, double epsilon, matrix& out, int threads) {
    out.resize(in.rows(), in.cols());
    for_each_row_block(in.rows(), threads, [&](Eigen::Index first, Eigen::Index rows) {
        for (Eigen::Index r = first; r < first + rows; ++r)
            rms_norm({in.row(r).data(), weight.size()}, weight, epsilon, row(out, r));
    });
}

}  // namespace tessera::model
