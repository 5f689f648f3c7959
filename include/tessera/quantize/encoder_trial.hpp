// How much of a matrix's output encoders lose, tried on some of its rows.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "tessera/calibrate/column_statistics.hpp"
#include "tessera/calibrate/importance_table.hpp"
#include "tessera/core/tensor_info.hpp"
#include "tessera/decoder/linear.hpp"
#include "tessera/decoder/matrix.hpp"
#include "tessera/decoder/observer.hpp"
#include "tessera/encode/error_feedback.hpp"
#include "tessera/encode/gram_factor.hpp"
#include "tessera/quantize/quantize.hpp"

namespace tessera {

/// How feedback is done.
struct feedback_settings {
    double damping = 0.1;  ///< see gram_factor_options
    /// The same for a table that is embedding and output at once: as embedding all its columns count alike.
    double table_damping = 0.5;
    int refits = 1;  ///< see error_feedback

    [[nodiscard]] gram_factor_options factor(bool is_table, int threads) const noexcept {
        return {.damping = is_table ? table_damping : damping, .threads = threads};
    }
};

/// What is done about matrices of a stack (experts) that few tokens reached: their second moments are blended with what
/// is known of the whole stack, as blend_rare_matrices does with importances.
struct rare_experts {
    std::uint64_t enough_tokens = 0;                ///< that are few no more
    const importance_table* importances = nullptr;  ///< of all matrices, blended already; null: the matrices' own
};

/// Sums of squared errors: of weights, and of the outputs that a Gram matrix of inputs stands for.
struct trial_errors {
    double weights = 0;
    double outputs = 0;

    trial_errors& operator+=(const trial_errors& other) noexcept {
        weights += other.weights;
        outputs += other.outputs;
        return *this;
    }
};

namespace detail {

// How many of an input's rows come from the first `used_tokens` tokens.
[[nodiscard]] inline Eigen::Index used_rows(const decoder::linear_input& input, std::size_t used_tokens) {
    const auto used = static_cast<Eigen::Index>(used_tokens);
    if (input.routed.empty()) return std::min(input.rows.rows(), used);
    return std::ranges::lower_bound(input.routed, used, {}, &decoder::routed_token::token) - input.routed.begin();
}

// Of the second moments over a few tokens, the diagonal becomes that of the importances, where there are some. Of what
// lies off it nothing is known of other experts: it shrinks as if it was zero there.
inline void blend(decoder::matrix& gram, const decoder::linear& first, std::uint64_t tokens, const rare_experts& rare) {
    const tensor_info& info = *first.tensor;
    if (matrix_count(info) < 2 || tokens >= rare.enough_tokens) return;
    std::span<const float> importances;
    if (rare.importances != nullptr) importances = rare.importances->find(info, first.first_row / info.dims[1]);
    Eigen::VectorXf diagonal = gram.diagonal();
    for (std::size_t c = 0; c < importances.size(); ++c)
        diagonal[static_cast<Eigen::Index>(c)] = importances[c] * static_cast<float>(tokens);
    gram *= static_cast<float>(static_cast<double>(tokens) / static_cast<double>(rare.enough_tokens));
    gram.diagonal() = diagonal;
}

// What an input teaches: the Gram matrices of the rows used and, where there are any, held back; of the first the
// factor.
struct learned_input {
    decoder::matrix seen, held_back;
    gram_factor factor;
};
[[nodiscard]] inline learned_input learn(const decoder::linear_input& input, Eigen::Index used,
                                         const rare_experts& rare, const gram_factor_options& options) {
    const Eigen::Index rest = input.rows.rows() - used;
    column_statistics seen, held_back;
    add_gram(seen, input.rows.topRows(used), options.threads);
    if (rest > 0) add_gram(held_back, input.rows.bottomRows(rest), options.threads);
    blend(seen.gram, *input.shared.front(), static_cast<std::uint64_t>(used), rare);
    gram_factor factor(seen.gram, static_cast<std::uint64_t>(used), options);
    return {std::move(seen.gram), std::move(held_back.gram), std::move(factor)};
}

// Encodes and decodes rows, and compares.
template <class Formats, class Encoder>
[[nodiscard]] trial_errors try_encoder(const tensor_info& target, std::uint64_t first_row, std::span<float> weights,
                                       std::span<const float> importance, const Encoder& encoder,
                                       const decoder::matrix& gram) {
    std::vector<std::byte> bytes;
    std::vector<float> decoded(weights.size());
    encode_rows<Formats>(target, first_row, weights, importance, encoder, bytes);
    Formats::decode(target.type(), bytes, decoded);
    const std::size_t columns = target.columns();
    decoder::matrix error = decoder::map(matrix_view(weights, columns)) - decoder::map(matrix_view(decoded, columns));
    // Squares of large errors overflow a float: a power of two makes them small, exactly.
    const float largest = error.size() == 0 ? 0.0f : error.cwiseAbs().maxCoeff();
    const int exponent = largest > 0x1p40f ? std::ilogb(largest) : 0;
    if (exponent > 0) error *= std::ldexp(1.0f, -exponent);
    const double weight_errors = static_cast<double>(error.squaredNorm());
    const double output_errors = (error * gram).cwiseProduct(error).template cast<double>().sum();
    return {std::ldexp(weight_errors, 2 * exponent), std::ldexp(output_errors, 2 * exponent)};
}

// The first rows of at most `count` tiles of a matrix, evenly spread.
[[nodiscard]] inline std::vector<std::size_t> spread_tiles(std::size_t rows, std::size_t count) {
    constexpr std::size_t tile = error_feedback::rows_at_once;
    const std::size_t all = (rows + tile - 1) / tile;
    std::vector<std::size_t> firsts(std::min(all, count));
    for (std::size_t i = 0; i < firsts.size(); ++i) firsts[i] = (2 * i + 1) * all / (2 * firsts.size()) * tile;
    return firsts;
}

}  // namespace detail

}  // namespace tessera
