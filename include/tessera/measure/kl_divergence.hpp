// Kullback-Leibler divergence (KLD) of a model's predictions from a reference's, and what is measured along with it.
#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "tessera/config.hpp"
#include "tessera/core/error.hpp"
#include "tessera/kernels/exp.hpp"
#include "tessera/kernels/reduce.hpp"
#include "tessera/measure/concepts.hpp"
#include "tessera/measure/statistics.hpp"

namespace tessera {

/// How far a candidate model is from a reference over a number of predicted tokens, in nats.
struct kl_divergence_result {
    std::size_t tokens = 0;
    estimate mean;           ///< of KL(reference || candidate) per token
    percentiles divergence;  ///< of the same
    estimate same_top;       ///< share of tokens where both have the same most probable token, 0 to 1
    estimate perplexity;     ///< the candidate's
    estimate reference_perplexity;
    estimate ln_perplexity_ratio;  ///< candidate / reference
    estimate perplexity_ratio;
    estimate mean_probability_change;  ///< of the token that really follows; positive: the candidate is better
    estimate rms_probability_change;
    percentiles probability_change;
};

/// Collects the divergence token by token. Sums run in double; the per-token values are kept as floats for the
/// percentiles. Definitions and errors as in llama.cpp's perplexity tool, but from logits that were never rounded.
class kl_divergence {
public:
    /// Sums over tokens.
    struct totals {
        moments divergence{}, reference_nll{}, candidate_nll{}, change{}, squared_change{};
        double nll_products = 0;
        std::uint64_t same_top = 0;
    };

    kl_divergence() = default;
    /// What another one had collected.
    kl_divergence(const totals& sums, std::vector<float> per_token, std::vector<float> changes)
        : sums_(sums), divergences_(std::move(per_token)), changes_(std::move(changes)) {
        TESSERA_ASSERT(divergences_.size() == changes_.size(), "the same tokens");
    }

    /// Takes the logits of one position and the token that really follows. Both rows have the same length, and `target`
    /// lies in it. Throws when a logit is not finite.
    void add(std::span<const float> reference, std::span<const float> candidate, std::size_t target) {
        TESSERA_ASSERT(reference.size() == candidate.size() && target < reference.size(), "one vocabulary");
        const std::size_t best = kernels::argmax(reference);
        const std::size_t candidate_best = kernels::argmax(candidate);
        const float* p = reference.data();
        const float* q = candidate.data();
        const float p_max = p[best];
        const float q_max = q[candidate_best];
        // With z = logit - maximum: ln p = z - ln sum(exp z), and sum p (ln p - ln q) needs three sums.
        const auto [p_sum, q_sum, weighted] = kernels::sums<double, 3>(reference.size(), [=](std::size_t i) {
            const float p_z = p[i] - p_max;
            const float q_z = q[i] - q_max;
            const float p_exp = kernels::exp(p_z);
            return std::array{p_exp, kernels::exp(q_z), p_exp * (p_z - q_z)};
        });
        const double divergence = weighted / p_sum - std::log(p_sum) + std::log(q_sum);
        if (!std::isfinite(divergence))
            fail("logits of token ", tokens(), ": wanted finite numbers, got a divergence of ", divergence);

        const double reference_nll = std::log(p_sum) - (double{p[target]} - double{p_max});
        const double candidate_nll = std::log(q_sum) - (double{q[target]} - double{q_max});
        const double change = std::exp(-candidate_nll) - std::exp(-reference_nll);
        sums_.divergence.add(divergence);
        sums_.reference_nll.add(reference_nll);
        sums_.candidate_nll.add(candidate_nll);
        sums_.nll_products += reference_nll * candidate_nll;
        sums_.change.add(change);
        sums_.squared_change.add(change * change);
        sums_.same_top += best == candidate_best ? 1 : 0;
        divergences_.push_back(static_cast<float>(divergence));
        changes_.push_back(static_cast<float>(change));
    }

    /// Takes in what `later` collected.
    void merge(const kl_divergence& later) {
        sums_.divergence.merge(later.sums_.divergence);
        sums_.reference_nll.merge(later.sums_.reference_nll);
        sums_.candidate_nll.merge(later.sums_.candidate_nll);
        sums_.nll_products += later.sums_.nll_products;
        sums_.change.merge(later.sums_.change);
        sums_.squared_change.merge(later.sums_.squared_change);
        sums_.same_top += later.sums_.same_top;
        divergences_.insert(divergences_.end(), later.divergences_.begin(), later.divergences_.end());
        changes_.insert(changes_.end(), later.changes_.begin(), later.changes_.end());
    }

    [[nodiscard]] std::size_t tokens() const noexcept { return divergences_.size(); }
    /// The divergence of every token, in the order they were added.
    [[nodiscard]] std::span<const float> per_token() const noexcept { return divergences_; }
    /// How the probability of the token that really follows changes, in the same order.
    [[nodiscard]] std::span<const float> changes() const noexcept { return changes_; }
    [[nodiscard]] const totals& sums() const noexcept { return sums_; }

    [[nodiscard]] kl_divergence_result result() const {
        kl_divergence_result r;
        r.tokens = tokens();
        if (r.tokens == 0) return r;
        const auto n = static_cast<double>(r.tokens);
        r.mean = sums_.divergence.mean(r.tokens);
        r.divergence = percentiles(divergences_);

        const double same = static_cast<double>(sums_.same_top) / n;
        r.same_top = {same, r.tokens > 1 ? std::sqrt(same * (1.0 - same) / (n - 1.0)) : 0.0};

        const estimate candidate = sums_.candidate_nll.mean(r.tokens);
        const estimate reference = sums_.reference_nll.mean(r.tokens);
        r.perplexity = exp(candidate);
        r.reference_perplexity = exp(reference);
        // Both models' log-likelihoods rise and fall with the same tokens: their covariance takes most of the error out
        // of the ratio.
        const double covariance =
            r.tokens < 10 ? 0.0 : (sums_.nll_products / n - candidate.value * reference.value) / (n - 1.0);
        const double variance =
            candidate.error * candidate.error + reference.error * reference.error - 2.0 * covariance;
        r.ln_perplexity_ratio = {candidate.value - reference.value, variance > 0 ? std::sqrt(variance) : 0.0};
        r.perplexity_ratio = exp(r.ln_perplexity_ratio);

        r.mean_probability_change = sums_.change.mean(r.tokens);
        const estimate square = sums_.squared_change.mean(r.tokens);
        const double rms = std::sqrt(square.value);
        r.rms_probability_change = {rms, rms > 0 ? 0.5 / rms * square.error : 0.0};
        r.probability_change = percentiles(changes_);
        return r;
    }

private:
    [[nodiscard]] static estimate exp(const estimate& x) {
        const double value = std::exp(x.value);
        return {value, value * x.error};
    }

    totals sums_;
    std::vector<float> divergences_, changes_;
};

static_assert(metric<kl_divergence>);

}  // namespace tessera
