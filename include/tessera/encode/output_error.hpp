// The error that encoding rows of a matrix makes in its outputs.
#pragma once

#include <cmath>
#include <cstddef>
#include <span>
#include <vector>

#include <Eigen/Core>

#include "tessera/core/panels.hpp"
#include "tessera/core/view.hpp"
#include "tessera/encode/encoders.hpp"
#include "tessera/encode/knowledge.hpp"
#include "tessera/format/concepts.hpp"

namespace tessera {

/// Sums over rows r, those of a matrix or their errors: of r r', and of r H r', what they are in the outputs for the
/// inputs that a Gram matrix H stands for.
struct output_error {
    double weights = 0;
    double outputs = 0;

    output_error& operator+=(const output_error& other) noexcept {
        weights += other.weights;
        outputs += other.outputs;
        return *this;
    }
};

/// The sums of these rows; an empty `gram` leaves the outputs at 0. Squares of large numbers overflow a float: a power
/// of two makes them small, exactly. (A template: compiled where somebody judges.)
template <class = void>
[[nodiscard]] output_error energy_of(matrix_view rows, matrix_view gram) {
    using matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
    const auto map = [](matrix_view view) {
        return Eigen::Map<const matrix>(view.values().data(), static_cast<Eigen::Index>(view.rows()),
                                        static_cast<Eigen::Index>(view.columns()));
    };
    matrix scaled = map(rows);
    const float largest = scaled.size() == 0 ? 0.0f : scaled.cwiseAbs().maxCoeff();
    const int exponent = largest > 0x1p40f ? std::ilogb(largest) : 0;
    if (exponent > 0) scaled *= std::ldexp(1.0f, -exponent);
    const auto weights = static_cast<double>(scaled.squaredNorm());
    double outputs = 0;
    if (gram.rows() > 0) {
        matrix products(scaled.rows(), scaled.cols());
        for_each_panel(scaled.cols(), [&](Eigen::Index first, Eigen::Index count) {
            products.middleCols(first, count).noalias() = scaled * map(gram).middleCols(first, count);
        });
        outputs = products.cwiseProduct(scaled).template cast<double>().sum();
    }
    return {std::ldexp(weights, 2 * exponent), std::ldexp(outputs, 2 * exponent)};
}

/// Encodes and decodes rows, and sums their errors.
template <block_format F, encoder_for<F> Encoder>
[[nodiscard]] output_error measure_output_error(const Encoder& encoder, matrix_view rows, const matrix_knowledge& known,
                                                matrix_view gram) {
    std::vector<typename F::block> blocks(rows.values().size() / F::block_size);
    encode_rows<F>(encoder, rows, known, std::span(blocks));
    std::vector<float> errors(rows.values().size());
    decode_blocks<F>(blocks, errors);
    for (std::size_t i = 0; i < errors.size(); ++i) errors[i] = rows.values()[i] - errors[i];
    return energy_of({errors, rows.columns()}, gram);
}

}  // namespace tessera
