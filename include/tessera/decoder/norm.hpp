// RMS normalisation.
#pragma once

#include <cmath>
#include <cstddef>
#include <span>

#include "tessera/decoder/matrix.hpp"
#include "tessera/kernels/reduce.hpp"

namespace tessera::decoder {

/// 1 / sqrt(mean(x^2) + epsilon). The mean runs in double.
[[nodiscard]] inline float inverse_rms(std::span<const float> x, double epsilon) {
    const double squares = kernels::sum<double>(
        x.size(), [&](std::size_t i) { return static_cast<double>(x[i]) * static_cast<double>(x[i]); });
    return static_cast<float>(1.0 / std::sqrt(squares / static_cast<double>(x.size()) + epsilon));
}

/// out = x / sqrt(mean(x^2) + epsilon) * weight. `x` and `out` may be the same.
inline void rms_norm(std::span<const float> x, std::span<const float> weight, double epsilon, std::span<float> out) {
    const float scale = inverse_rms(x, epsilon);
    for (std::size_t i = 0; i < x.size(); ++i) out[i] = x[i] * scale * weight[i];
}

/// Normalises the first weight.size() numbers of every row of `in` into `out`, which gets the shape of `in` or is `in`.
template <class In>
void rms_norm_rows(const In& in, std::span<const float> weight, double epsilon, matrix& out, int threads) {
    out.resize(in.rows(), in.cols());
    for_each_row_block(in.rows(), threads, [&](Eigen::Index first, Eigen::Index rows) {
        for (Eigen::Index r = first; r < first + rows; ++r)
            rms_norm({in.row(r).data(), weight.size()}, weight, epsilon, row(out, r).first(weight.size()));
    });
}

}  // namespace tessera::decoder
