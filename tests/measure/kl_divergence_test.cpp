// The divergence against a plain computation in double.
#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <span>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "support/support.hpp"
#include "tessera/measure/kl_divergence.hpp"

namespace {

using namespace tessera;
using numbers = std::vector<double>;

struct sample {
    std::vector<float> reference, candidate;
    std::size_t target;
};

// Pairs of rows that differ by noise; one vocabulary size that is no multiple of anything.
std::vector<sample> random_samples(std::size_t count, float noise, std::size_t vocabulary = 1003) {
    std::mt19937 random(11);
    std::normal_distribution<float> normal;
    std::vector<sample> samples(count);
    for (sample& s : samples) {
        for (std::size_t i = 0; i < vocabulary; ++i) {
            s.reference.push_back(100.0f + 3.0f * normal(random));
            s.candidate.push_back(s.reference.back() - 50.0f + noise * normal(random));
        }
        s.target = random() % vocabulary;
    }
    return samples;
}

kl_divergence collect(std::span<const sample> samples) {
    kl_divergence all;
    for (const sample& s : samples) all.add(s.reference, s.candidate, s.target);
    return all;
}

numbers log_softmax(std::span<const float> logits) {
    double largest = -1e300;
    for (const float x : logits) largest = std::max(largest, double{x});
    double total = 0;
    for (const float x : logits) total += std::exp(double{x} - largest);
    numbers out;
    for (const float x : logits) out.push_back(double{x} - largest - std::log(total));
    return out;
}

double mean(const numbers& x) {
    double total = 0;
    for (const double v : x) total += v;
    return total / static_cast<double>(x.size());
}

// Of the means: two passes, so that nothing cancels.
double covariance_of_means(const numbers& x, const numbers& y) {
    const double x_mean = mean(x), y_mean = mean(y);
    double total = 0;
    for (std::size_t i = 0; i < x.size(); ++i) total += (x[i] - x_mean) * (y[i] - y_mean);
    const auto n = static_cast<double>(x.size());
    return total / n / (n - 1);
}
double error_of_mean(const numbers& x) { return std::sqrt(covariance_of_means(x, x)); }

doctest::Approx near(double x) { return doctest::Approx(x).epsilon(1e-5); }

}  // namespace

TEST_CASE("a divergence goes on from what another one had collected") {
    const auto samples = random_samples(30, 0.5f);
    const std::span<const sample> all(samples);
    const kl_divergence whole = collect(all), first = collect(all.first(12));
    const auto copy = [](std::span<const float> values) { return std::vector<float>(values.begin(), values.end()); };
    kl_divergence other(first.sums(), copy(first.per_token()), copy(first.changes()));
    for (const sample& s : all.subspan(12)) other.add(s.reference, s.candidate, s.target);
    CHECK(std::ranges::equal(other.per_token(), whole.per_token()));
    const kl_divergence_result a = other.result(), b = whole.result();
    CHECK(a.mean.value == b.mean.value);
    CHECK(a.same_top.value == b.same_top.value);
    CHECK(a.ln_perplexity_ratio.error == b.ln_perplexity_ratio.error);
    CHECK(a.rms_probability_change.value == b.rms_probability_change.value);
    CHECK(a.probability_change(0.5) == b.probability_change(0.5));
}

TEST_CASE("every figure agrees with a plain computation in double") {
    for (const float noise : {1.0f, 0.1f, 0.01f}) {
        CAPTURE(noise);
        const auto samples = random_samples(300, noise);
        numbers divergence, reference_nll, candidate_nll, change, squared_change;
        double same = 0;
        for (const sample& s : samples) {
            const numbers p = log_softmax(s.reference), q = log_softmax(s.candidate);
            double sum = 0;
            for (std::size_t i = 0; i < p.size(); ++i) sum += std::exp(p[i]) * (p[i] - q[i]);
            divergence.push_back(sum);
            reference_nll.push_back(-p[s.target]);
            candidate_nll.push_back(-q[s.target]);
            change.push_back(std::exp(q[s.target]) - std::exp(p[s.target]));
            squared_change.push_back(change.back() * change.back());
            same +=
                std::max_element(p.begin(), p.end()) - p.begin() == std::max_element(q.begin(), q.end()) - q.begin();
        }
        const kl_divergence_result r = collect(samples).result();
        CHECK(r.tokens == 300);
        CHECK(r.mean.value == near(mean(divergence)));
        CHECK(r.mean.error == near(error_of_mean(divergence)));
        CHECK(r.same_top.value == near(same / 300));
        CHECK(r.same_top.error == near(std::sqrt(same / 300 * (1 - same / 300) / 299)));
        CHECK(r.perplexity.value == near(std::exp(mean(candidate_nll))));
        CHECK(r.perplexity.error == near(std::exp(mean(candidate_nll)) * error_of_mean(candidate_nll)));
        CHECK(r.reference_perplexity.value == near(std::exp(mean(reference_nll))));
        CHECK(r.reference_perplexity.error == near(std::exp(mean(reference_nll)) * error_of_mean(reference_nll)));

        const double ratio = mean(candidate_nll) - mean(reference_nll);
        numbers differences;
        for (std::size_t i = 0; i < 300; ++i) differences.push_back(candidate_nll[i] - reference_nll[i]);
        CHECK(r.ln_perplexity_ratio.value == near(ratio));
        CHECK(r.ln_perplexity_ratio.error == near(error_of_mean(differences)));
        CHECK(r.perplexity_ratio.value == near(std::exp(ratio)));
        CHECK(r.perplexity_ratio.error == near(std::exp(ratio) * error_of_mean(differences)));

        CHECK(r.mean_probability_change.value == near(mean(change)));
        CHECK(r.mean_probability_change.error == near(error_of_mean(change)));
        const double rms = std::sqrt(mean(squared_change));
        CHECK(r.rms_probability_change.value == near(rms));
        CHECK(r.rms_probability_change.error == near(0.5 / rms * error_of_mean(squared_change)));

        std::sort(divergence.begin(), divergence.end());
        CHECK(r.divergence(0) == near(divergence.front()));
        CHECK(r.divergence(0.5) == near((divergence[149] + divergence[150]) / 2));
        CHECK(r.divergence(0.9) == near(divergence[269] + 0.1 * (divergence[270] - divergence[269])));
        CHECK(r.divergence(0.99) == near(divergence[296] + 0.01 * (divergence[297] - divergence[296])));
        CHECK(r.divergence(1) == near(divergence.back()));
        std::sort(change.begin(), change.end());
        CHECK(r.probability_change(0) == near(change.front()));
        CHECK(r.probability_change(1) == near(change.back()));
    }
}

TEST_CASE("merging is one pass over all") {
    const auto samples = random_samples(100, 0.5f, 77);
    kl_divergence merged;
    for (std::size_t first = 0; first < samples.size(); first += 30)
        merged.merge(collect(std::span(samples).subspan(first, std::min<std::size_t>(30, samples.size() - first))));
    const kl_divergence whole = collect(samples);
    CHECK(std::ranges::equal(merged.per_token(), whole.per_token()));
    const kl_divergence_result a = merged.result(), b = whole.result();
    CHECK(a.tokens == b.tokens);
    CHECK(a.mean.value == doctest::Approx(b.mean.value).epsilon(1e-13));
    CHECK(a.mean.error == doctest::Approx(b.mean.error).epsilon(1e-11));
    CHECK(a.same_top.value == b.same_top.value);
    CHECK(a.perplexity.value == doctest::Approx(b.perplexity.value).epsilon(1e-13));
    CHECK(a.ln_perplexity_ratio.error == doctest::Approx(b.ln_perplexity_ratio.error).epsilon(1e-10));
    CHECK(a.rms_probability_change.error == doctest::Approx(b.rms_probability_change.error).epsilon(1e-11));
    CHECK(a.divergence(0.95) == b.divergence(0.95));
}

TEST_CASE("a model does not differ from itself") {
    auto samples = random_samples(20, 0.0f);
    for (sample& s : samples) s.candidate = s.reference;
    const kl_divergence_result r = collect(samples).result();
    CHECK(r.mean.value == 0.0);
    CHECK(r.mean.error == 0.0);
    CHECK(r.same_top.value == 1.0);
    CHECK(r.perplexity_ratio.value == 1.0);
    CHECK(r.perplexity_ratio.error == 0.0);
    CHECK(r.rms_probability_change.value == 0.0);
    CHECK(r.perplexity.value > 1.0);
}

TEST_CASE("tiny divergences keep their digits") {
    // The second order of the definition: half the variance of the logit differences under p.
    const std::size_t n = 4096;
    std::mt19937 random(3);
    std::normal_distribution<float> normal;
    std::vector<float> reference(n), candidate(n);
    for (std::size_t i = 0; i < n; ++i) {
        reference[i] = normal(random);
        candidate[i] = reference[i] + 1e-3f * normal(random);
    }
    const numbers p = log_softmax(reference), q = log_softmax(candidate);
    double wanted = 0;
    for (std::size_t i = 0; i < n; ++i) wanted += std::exp(p[i]) * (p[i] - q[i]);
    kl_divergence one;
    one.add(reference, candidate, 0);
    REQUIRE(wanted < 1e-6);
    CHECK(one.result().mean.value == doctest::Approx(wanted).epsilon(0.01));
}

TEST_CASE("few tokens have no error, none have no figures") {
    CHECK(kl_divergence().result().tokens == 0);
    CHECK(std::isnan(kl_divergence().result().divergence(0.5)));
    const auto samples = random_samples(11, 0.5f, 50);
    CHECK(collect(std::span(samples).first(10)).result().mean.error == 0.0);
    CHECK(collect(samples).result().mean.error > 0.0);
    const kl_divergence_result one = collect(std::span(samples).first(1)).result();
    CHECK(one.divergence(0) == one.divergence(1));
    CHECK(one.same_top.error == 0.0);
}

TEST_CASE("logits that are not finite are refused") {
    const auto refused = [](float value, bool in_reference) {
        auto samples = random_samples(3, 0.5f, 60);
        (in_reference ? samples[2].reference : samples[2].candidate)[40] = value;
        return support::message_of<error>([&] { collect(samples); });
    };
    constexpr float infinity = std::numeric_limits<float>::infinity();
    for (const bool in_reference : {true, false})
        for (const float value : {infinity, -infinity, std::numeric_limits<float>::quiet_NaN()})
            CHECK(refused(value, in_reference).find("token 2: wanted finite") != std::string::npos);
}

TEST_CASE("a ratio of means has the error of what the pairs do not share") {
    std::vector<float> before(400), half(400), other(400), ones(400, 1.0f);
    for (std::size_t i = 0; i < before.size(); ++i) {
        before[i] = static_cast<float>(1 + i % 7);
        half[i] = 0.5f * before[i];
        other[i] = i % 2 == 0 ? 1.0f : 3.0f;
    }
    CHECK(mean_ratio(before, half).value == doctest::Approx(0.5));
    CHECK(mean_ratio(before, half).error < 1e-6);  // nothing is left to chance
    moments alone;
    for (const float x : other) alone.add(double{x});
    CHECK(mean_ratio(ones, other).value == doctest::Approx(2.0));
    CHECK(mean_ratio(ones, other).error == doctest::Approx(alone.mean(other.size()).error));
    CHECK(std::isnan(mean_ratio(std::vector<float>(20, 0.0f), std::vector<float>(20, 1.0f)).value));
}
