// Calibration statistics of the inputs of a model's matrices, and the importances that follow.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "tessera/calibrate/column_statistics.hpp"
#include "tessera/calibrate/importance_table.hpp"

namespace tessera {

/// Whether all matrices of a stack see every token, as heads do, or each its own, as experts do.
enum class token_sharing { all, routed };

/// One input of a layer: the tensors that get it, and what was seen of it.
struct input_statistics {
    std::size_t layer = 0;             ///< of the decoder; one past the last for the output
    std::vector<std::string> tensors;  ///< names
    token_sharing sharing = token_sharing::all;
    std::vector<column_statistics> matrices;  ///< one, or one for each matrix of a stack

    [[nodiscard]] std::size_t columns() const noexcept {
        std::size_t most = 0;
        for (const column_statistics& matrix : matrices) most = std::max(most, matrix.columns());
        return most;
    }
};

/// The mean squares of every tensor's columns. Stacks whose matrices see all tokens have one count, as in llama.cpp's
/// files. Inputs without a token are left out.
[[nodiscard]] inline importance_table make_importances(std::span<const input_statistics> inputs) {
    importance_table table;
    for (const input_statistics& input : inputs) {
        tensor_importance entry;
        const std::size_t columns = input.columns();
        for (const column_statistics& matrix : input.matrices) {
            entry.tokens.push_back(matrix.tokens);
            for (std::size_t c = 0; c < columns; ++c)
                entry.mean_squares.push_back(
                    matrix.tokens == 0 ? 0.0f
                                       : static_cast<float>(matrix.squares[c] / static_cast<double>(matrix.tokens)));
        }
        if (columns == 0) continue;
        if (input.sharing == token_sharing::all) entry.tokens.resize(1);
        for (const std::string& name : input.tensors) table.add(name, entry);
    }
    return table;
}

}  // namespace tessera
