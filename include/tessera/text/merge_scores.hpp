// Merges by rank as merges by score.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

namespace tessera::text {

/// Scores of `tokens` tokens that make merging by score do what `merges` merges do by rank: a token is worth the first
/// merge that makes it, and what no merge makes is worth less than all of them. made_by(rank) is the token's number.
template <class MadeBy>
[[nodiscard]] std::vector<float> merge_scores(std::size_t tokens, std::size_t merges, const MadeBy& made_by) {
    std::vector<float> scores(tokens, -static_cast<float>(merges));
    for (std::size_t rank = 0; rank < merges; ++rank) {
        float& score = scores[made_by(rank)];
        score = std::max(score, 0.0f - static_cast<float>(rank));
    }
    return scores;
}

}  // namespace tessera::text
