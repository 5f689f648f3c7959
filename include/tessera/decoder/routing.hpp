// Routing: which token goes to which expert.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "tessera/decoder/activation.hpp"
#include "tessera/decoder/matrix.hpp"
#include "tessera/decoder/model_spec.hpp"
#include "tessera/kernels/reduce.hpp"
#include "tessera/kernels/softmax.hpp"

namespace tessera::decoder {

/// A token that an expert works on, and its weight there.
struct routed_token {
    Eigen::Index token;
    float weight;
};

/// Bytes that the experts' lists of their tokens take at most, for so many tokens: they grow by doubling, and the
/// shared expert may have one of all.
[[nodiscard]] inline std::uint64_t routed_bytes(const expert_spec& spec, std::size_t tokens) noexcept {
    return 2 * sizeof(routed_token) * static_cast<std::uint64_t>(tokens) * (spec.used + 1);
}

namespace detail {

inline constexpr float unreachable = -std::numeric_limits<float>::infinity();

// Turns logits into scores.
inline void apply_gating(expert_gating gating, std::span<float> logits) noexcept {
    if (gating == expert_gating::softmax || gating == expert_gating::softmax_of_chosen) return kernels::softmax(logits);
    for (float& x : logits) x = sigmoid(x);
}

// Puts every expert out of reach that is not in one of the best groups. A group counts as much as its two best.
inline void keep_best_groups(const expert_spec& spec, std::span<float> candidates, std::vector<float>& totals) {
    const std::size_t size = spec.count / spec.groups;
    totals.clear();
    for (std::size_t g = 0; g < spec.groups; ++g) {
        float best = unreachable, second = unreachable;
        for (const float x : candidates.subspan(g * size, size)) {
            second = std::max(second, std::min(best, x));
            best = std::max(best, x);
        }
        totals.push_back(size > 1 ? best + second : best);
    }
    for (std::size_t kept = 0; kept < spec.groups_used; ++kept) totals[kernels::argmax(totals)] = unreachable;
    for (std::size_t g = 0; g < spec.groups; ++g)
        if (totals[g] != unreachable) std::ranges::fill(candidates.subspan(g * size, size), unreachable);
}

}  // namespace detail

/// Chooses the experts of every token from the router's logits, which become scores where all of them count. `bias` is
/// added to the scores for the choice only; it has a number for each expert, or none. The tokens of each expert,
/// counted from `first_token`, come after those that `routed` has already. Of equals the first wins.
inline void route(const expert_spec& spec, std::span<const float> bias, Eigen::Index first_token, matrix& logits,
                  int threads, std::vector<std::vector<routed_token>>& routed) {
    constexpr double smallest_sum = 0x1p-14;  // guards the division; libllama's value
    const bool gate_all = spec.gating == expert_gating::softmax || spec.gating == expert_gating::sigmoid;
    struct choice {
        std::size_t expert;
        float weight;
    };
    std::vector<choice> chosen(static_cast<std::size_t>(logits.rows()) * spec.used);
    for_each_row_block(logits.rows(), threads, [&](Eigen::Index first, Eigen::Index rows) {
        std::vector<float> candidates, totals, weights(spec.used);
        for (Eigen::Index token = first; token < first + rows; ++token) {
            const std::span<choice> mine =
                std::span(chosen).subspan(static_cast<std::size_t>(token) * spec.used, spec.used);
            const std::span<float> scores = row(logits, token);
            if (gate_all) detail::apply_gating(spec.gating, scores);
            candidates.assign(scores.begin(), scores.end());
            for (std::size_t e = 0; e < bias.size(); ++e) candidates[e] += bias[e];
            if (spec.groups > 1) detail::keep_best_groups(spec, candidates, totals);
            for (std::size_t i = 0; i < spec.used; ++i) {
                mine[i].expert = kernels::argmax(candidates);
                candidates[mine[i].expert] = detail::unreachable;
                weights[i] = scores[mine[i].expert];
            }
            if (!gate_all) detail::apply_gating(spec.gating, weights);
            double scale = spec.scale;
            if (spec.weighting == expert_weighting::renormalised)
                scale /= std::max(kernels::sum<double>(weights.size(), [&](std::size_t i) { return weights[i]; }),
                                  smallest_sum);
            for (std::size_t i = 0; i < spec.used; ++i) mine[i].weight = static_cast<float>(double{weights[i]} * scale);
        }
    });
    routed.resize(spec.count);
    for (std::size_t i = 0; i < chosen.size(); ++i)
        routed[chosen[i].expert].push_back({first_token + static_cast<Eigen::Index>(i / spec.used), chosen[i].weight});
}

}  // namespace tessera::decoder
