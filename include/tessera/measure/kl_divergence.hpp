// Kullback-Leibler divergence (KLD) of a model's predictions from a reference's, and what is measured along with it.
#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <span>
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
        divergence_.add(divergence);
        reference_nll_.add(reference_nll);
        candidate_nll_.add(candidate_nll);
        nll_products_ += reference_nll * candidate_nll;
        change_.add(change);
        squared_change_.add(change * change);
        same_top_ += best == candidate_best ? 1 : 0;
        divergences_.push_back(static_cast<float>(divergence));
        changes_.push_back(static_cast<float>(change));
    }

    /// Takes in what `later` collected.
    void merge(const kl_divergence& later) {
        divergence_.merge(later.divergence_);
        reference_nll_.merge(later.reference_nll_);
        candidate_nll_.merge(later.candidate_nll_);
        nll_products_ += later.nll_products_;
        change_.merge(later.change_);
        squared_change_.merge(later.squared_change_);
        same_top_ += later.same_top_;
        divergences_.insert(divergences_.end(), later.divergences_.begin(), later.divergences_.end());
        changes_.insert(changes_.end(), later.changes_.begin(), later.changes_.end());
    }

    [[nodiscard]] std::size_t tokens() const noexcept { return divergences_.size(); }
    /// The divergence of every token, in the order they were added.
    [[nodiscard]] std::span<const float> per_token() const noexcept { return divergences_; }

    [[nodiscard]] kl_divergence_result result() const {
        kl_divergence_result r;
        r.tokens = tokens();
        if (r.tokens == 0) return r;
        const auto n = static_cast<double>(r.tokens);
        r.mean = divergence_.mean(r.tokens);
        r.divergence = percentiles(divergences_);

        const double same = static_cast<double>(same_top_) / n;
        r.same_top = {same, r.tokens > 1 ? std::sqrt(same * (1.0 - same) / (n - 1.0)) : 0.0};

        const estimate candidate = candidate_nll_.mean(r.tokens);
        const estimate reference = reference_nll_.mean(r.tokens);
        r.perplexity = exp(candidate);
        r.reference_perplexity = exp(reference);
        // Both models' log-likelihoods rise and fall with the same tokens: their covariance takes most of the error out
        // of the ratio.
        const double covariance =
            r.tokens < 10 ? 0.0 : (nll_products_ / n - candidate.value * reference.value) / (n - 1.0);
        const double variance =
            candidate.error * candidate.error + reference.error * reference.error - 2.0 * covariance;
        r.ln_perplexity_ratio = {candidate.value - reference.value, variance > 0 ? std::sqrt(variance) : 0.0};
        r.perplexity_ratio = exp(r.ln_perplexity_ratio);

        r.mean_probability_change = change_.mean(r.tokens);
        const estimate square = squared_change_.mean(r.tokens);
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

    moments divergence_, reference_nll_, candidate_nll_, change_, squared_change_;
    double nll_products_ = 0;
    std::size_t same_top_ = 0;
    std::vector<float> divergences_, changes_;
};

static_assert(metric<kl_divergence>);

}  // namespace tessera
