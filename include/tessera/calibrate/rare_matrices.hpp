// Experts that few tokens reached.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "tessera/calibrate/importance_table.hpp"

namespace tessera {

/// A matrix of a stack, and how often it was used.
struct rare_matrix {
    std::string tensor;
    std::uint64_t matrix;
    std::uint64_t tokens;
};

/// Mean squares over a few tokens are uncertain: each matrix that fewer than `enough` tokens reached gets as many of
/// its tensor's average token as it lacks. Where an expert's own columns mean something else than its neighbours' (what
/// its down projection sees), that draws them towards what they have in common. Returns the matrices that were blended;
/// they count as reached by `enough` tokens from then on. Tensors no token reached stay as they are, and so do entries
/// with one count for all matrices.
inline std::vector<rare_matrix> blend_rare_matrices(importance_table& table, std::uint64_t enough) {
    std::vector<rare_matrix> rare;
    importance_table blended;
    for (auto [name, entry] : table) {
        const std::size_t matrices = entry.tokens.size();
        const std::size_t columns = entry.mean_squares.size() / matrices;
        std::vector<double> pooled(columns);
        double tokens = 0;
        for (std::size_t m = 0; m < matrices; ++m) {
            const auto own = static_cast<double>(entry.tokens[m]);
            for (std::size_t c = 0; c < columns; ++c) pooled[c] += own * entry.mean_squares[m * columns + c];
            tokens += own;
        }
        for (std::size_t m = 0; m < matrices && matrices > 1 && tokens > 0; ++m) {
            if (entry.tokens[m] >= enough) continue;
            rare.push_back({name, m, entry.tokens[m]});
            const double share = static_cast<double>(entry.tokens[m]) / static_cast<double>(enough);
            for (std::size_t c = 0; c < columns; ++c) {
                float& mean = entry.mean_squares[m * columns + c];
                mean = static_cast<float>(share * mean + (1 - share) * pooled[c] / tokens);
            }
            entry.tokens[m] = enough;
        }
        blended.add(name, std::move(entry));
    }
    table = std::move(blended);
    return rare;
}

}  // namespace tessera
