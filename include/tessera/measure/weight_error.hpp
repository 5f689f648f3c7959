// How far decoded weights are from the original ones.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "tessera/config.hpp"
#include "tessera/core/view.hpp"
#include "tessera/tensor/packed_matrix.hpp"

namespace tessera {

/// Sums over weights, each weighted by the importance of its column where importances are given.
struct weight_error {
    double squared_error = 0;  ///< sum of (decoded - original)^2
    double squared_norm = 0;   ///< sum of original^2

    /// Root of the ratio: 0.05 means an error of 5 % of the weights' magnitude.
    [[nodiscard]] double relative() const noexcept {
        return squared_norm > 0 ? std::sqrt(squared_error / squared_norm) : 0.0;
    }
    /// Adds a row: as many decoded as original weights, and one importance for each, or none.
    void add_row(std::span<const float> original, std::span<const float> decoded,
                 std::span<const float> importance = {}) noexcept {
        TESSERA_ASSERT(decoded.size() == original.size(), "rows of the same length");
        TESSERA_ASSERT(importance.empty() || importance.size() == original.size(), "one importance a column");
        weight_error row;
        for (std::size_t i = 0; i < original.size(); ++i) {
            const double weight = importance.empty() ? 1.0 : double{importance[i]};
            const double x = original[i], difference = double{decoded[i]} - x;
            row.squared_error += weight * difference * difference;
            row.squared_norm += weight * x * x;
        }
        *this += row;
    }
    weight_error& operator+=(const weight_error& other) noexcept {
        squared_error += other.squared_error;
        squared_norm += other.squared_norm;
        return *this;
    }
};

/// Blocks of a tensor whose scales could not be as large as their weights asked for, and the first of these weights.
struct saturation {
    std::uint64_t blocks = 0;
    std::uint64_t row = 0, column = 0;
    float weight = 0, stored = 0;

    saturation& operator+=(const saturation& other) noexcept {
        const std::uint64_t sum = blocks + other.blocks;
        const bool is_first = blocks == 0 || std::pair(other.row, other.column) < std::pair(row, column);
        if (other.blocks > 0 && is_first) *this = other;
        blocks = sum;
        return *this;
    }
};

/// The error of an encoded tensor: of its weights as such, and with each weighted by the importance of its column, over
/// the rows for which there were importances.
struct encoding_error {
    weight_error plain, weighted;
    saturation saturated = {};

    encoding_error& operator+=(const encoding_error& other) noexcept {
        plain += other.plain;
        weighted += other.weighted;
        saturated += other.saturated;
        return *this;
    }
};

/// The error of a packed matrix against the matrix it was packed from.
template <block_format F>
[[nodiscard]] weight_error measure_error(matrix_view original, const packed_matrix<F>& packed,
                                         std::span<const float> importance = {}) {
    weight_error sums;
    std::vector<float> decoded(original.columns());
    for (std::size_t r = 0; r < original.rows(); ++r) {
        packed.decode_row(r, decoded);
        sums.add_row(original.row(r), decoded, importance);
    }
    return sums;
}

}  // namespace tessera
