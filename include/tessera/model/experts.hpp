// Mixture of experts: which token goes where, and the sum of what comes back.
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <vector>

#include "tessera/kernels/softmax.hpp"
#include "tessera/model/decoder_spec.hpp"
#include "tessera/model/feed_forward.hpp"
#include "tessera/model/matrix.hpp"

namespace tessera::model {

/// A token that an expert works on, and the weight of the result.
struct routed_token {
    Eigen::Index token;
    float weight;
};

/// Chooses the experts of every token from the router's logits, which become probabilities. Returns the tokens of each
/// expert in ascending order. Of equal probabilities the first wins.
[[nodiscard]] inline std::vector<std::vector<routed_token>> route(const expert_spec& spec, matrix& logits) {
    constexpr double smallest_sum = 0x1p-14;  // guards the division; libllama's value
    std::vector<std::vector<routed_token>> routed(spec.count);
    std::vector<std::size_t> chosen(spec.used);
    std::vector<float> candidates;
    for (Eigen::Index token = 0; token < logits.rows(); ++token) {
        const std::span<float> probabilities = row(logits, token);
        kernels::softmax(probabilities);
        candidates.assign(probabilities.begin(), probabilities.end());
        double sum = 0.0;
        for (std::size_t& expert : chosen) {
            expert = kernels::argmax(candidates);
            candidates[expert] = -1.0f;
            sum += double{probabilities[expert]};
        }
        const double scale =
            spec.weighting == expert_weighting::renormalised ? spec.scale / std::max(sum, smallest_sum) : spec.scale;
        for (const std::size_t expert : chosen)
            routed[expert].push_back({token, static_cast<float>(double{probabilities[expert]} * scale)});
    }
    return routed;
}

/// out += the weighted sum of the chosen experts' results, for every row of `in`. One expert after the other, so that
/// the weights of each are read once and sums have one order.
template <tensor_source Source>
void add_experts(const Source& source, std::span<const feed_forward_weights> experts,
                 std::span<const std::vector<routed_token>> routed, activation kind, const matrix& in, matrix& out,
                 int threads) {
    matrix gathered, inner, results;
    for (std::size_t e = 0; e < experts.size(); ++e) {
        const std::vector<routed_token>& tokens = routed[e];
        if (tokens.empty()) continue;
        const auto count = static_cast<Eigen::Index>(tokens.size());
        gathered.resize(count, in.cols());
        for_each_row_block(count, threads, [&](Eigen::Index first, Eigen::Index rows) {
            for (Eigen::Index r = first; r < first + rows; ++r)
                gathered.row(r) = in.row(tokens[static_cast<std::size_t>(r)].token);
        });
        gate_and_up(source, experts[e], kind, gathered, inner, threads);
        results.resize(count, out.cols());
        project(source, experts[e].down, inner, results, threads);
        for_each_row_block(count, threads, [&](Eigen::Index first, Eigen::Index rows) {
            for (Eigen::Index r = first; r < first + rows; ++r) {
                const auto [token, weight] = tokens[static_cast<std::size_t>(r)];
                out.row(token) += weight * results.row(r);
            }
        });
    }
}

}  // namespace tessera::model
