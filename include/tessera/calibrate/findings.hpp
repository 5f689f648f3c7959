// Findings of a calibration, for reports: coverage of experts, dead columns, largest activations.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "tessera/calibrate/input_statistics.hpp"

namespace tessera {

/// How the tokens of a layer spread over its experts.
struct expert_coverage {
    std::size_t layer;
    std::size_t experts;
    std::uint64_t least, median;  ///< tokens of an expert
    std::size_t unreached;        ///< experts without a token
    std::size_t rare;             ///< experts with fewer tokens than enough, the unreached ones included
};

/// The coverage of every layer that has experts; fewer than `enough` tokens make an expert rare.
template <class = void>
[[nodiscard]] std::vector<expert_coverage> find_coverage(std::span<const input_statistics> inputs,
                                                         std::uint64_t enough) {
    std::vector<expert_coverage> layers;
    for (const input_statistics& input : inputs) {
        if (input.sharing != token_sharing::routed || input.matrices.size() < 2) continue;
        if (!layers.empty() && layers.back().layer == input.layer) continue;  // the same tokens once more
        std::vector<std::uint64_t> tokens;
        for (const column_statistics& matrix : input.matrices) tokens.push_back(matrix.tokens);
        std::ranges::sort(tokens);
        const auto below = [&](std::uint64_t count) {
            return static_cast<std::size_t>(std::ranges::lower_bound(tokens, count) - tokens.begin());
        };
        layers.push_back(
            {input.layer, tokens.size(), tokens.front(), tokens[tokens.size() / 2], below(1), below(enough)});
    }
    return layers;
}

/// An input some of whose columns were 0 for every token.
struct inactive_columns {
    std::string tensor;
    std::size_t never_active;
    std::size_t columns;  ///< of all matrices that tokens reached
};

/// The inputs that have such columns.
template <class = void>
[[nodiscard]] std::vector<inactive_columns> find_inactive(std::span<const input_statistics> inputs) {
    std::vector<inactive_columns> found;
    for (const input_statistics& input : inputs) {
        inactive_columns sum{input.tensors.front(), 0, 0};
        for (const column_statistics& matrix : input.matrices) {
            sum.never_active += matrix.never_active();
            sum.columns += matrix.columns();
        }
        if (sum.never_active > 0) found.push_back(std::move(sum));
    }
    return found;
}

/// The largest value that a column of an input had.
struct large_activation {
    std::string tensor;
    std::size_t matrix, column;
    float magnitude;
    double rms;  ///< of the column
};

/// The columns with the largest values, largest first, one at most of each input.
template <class = void>
[[nodiscard]] std::vector<large_activation> find_largest(std::span<const input_statistics> inputs, std::size_t count) {
    std::vector<large_activation> found;
    for (const input_statistics& input : inputs) {
        large_activation largest{input.tensors.front(), 0, 0, -1.0f, 0};
        for (std::size_t m = 0; m < input.matrices.size(); ++m) {
            const column_statistics& matrix = input.matrices[m];
            const auto peak = std::ranges::max_element(matrix.peaks);
            if (peak == matrix.peaks.end() || *peak <= largest.magnitude) continue;
            largest.matrix = m;
            largest.column = static_cast<std::size_t>(peak - matrix.peaks.begin());
            largest.magnitude = *peak;
            largest.rms = std::sqrt(matrix.squares[largest.column] / static_cast<double>(matrix.tokens));
        }
        if (largest.magnitude >= 0) found.push_back(std::move(largest));
    }
    std::ranges::stable_sort(found, [](const auto& a, const auto& b) { return a.magnitude > b.magnitude; });
    found.resize(std::min(count, found.size()));
    return found;
}

}  // namespace tessera
