// The parts of a layer against plain sums in double: sizes and scopes that the small models of the golden set lack.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <random>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "tessera/decoder/attention.hpp"
#include "tessera/decoder/delta_net.hpp"
#include "tessera/decoder/routing.hpp"
#include "tessera/tensor/memory.hpp"

namespace {

using namespace tessera;
using decoder::matrix;

matrix random_matrix(Eigen::Index rows, Eigen::Index columns, unsigned seed) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    return matrix::NullaryExpr(rows, columns, [&] { return normal(random); });
}

// Which keys a query sees, by the definition of the scope.
bool sees(const decoder::attention_scope& scope, std::size_t query, std::size_t key) {
    return key <= query && (scope.window == 0 || query - key < scope.window) &&
           (scope.chunk == 0 || query / scope.chunk == key / scope.chunk);
}

}  // namespace

TEST_CASE("attention is a softmax over the keys in the scope of a query") {
    constexpr std::size_t window = 300;  // more than two blocks of queries
    constexpr std::size_t heads = 4, kv_heads = 2, size = 6, value_size = 5;
    struct named_case {
        const char* name;
        decoder::attention_scope scope;
        double cap = 0;
        std::vector<float> sinks = {};
        std::size_t query_stride = size;
    };
    const std::vector<named_case> cases{
        {"all keys", {}},
        {"a window shorter than a block", {.window = 7}},
        {"a window longer than a block", {.window = 150}},
        {"a window of one", {.window = 1}},
        {"a window longer than the text", {.window = 1000}},
        {"chunks", {.chunk = 70}},
        {"chunks and a window", {.window = 20, .chunk = 140}},
        {"a soft cap", {}, 1.5},
        {"sinks in a window", {.window = 9}, 0, {0.5f, -2.0f, 3.0f, 0.0f}},
        {"sinks, a soft cap and gates after the queries", {.chunk = 33}, 2.0, {0.5f, -2.0f, 3.0f, 0.0f}, 2 * size},
    };
    const memory_source nothing;
    for (const named_case& c : cases) {
        CAPTURE(c.name);
        decoder::model_spec spec;
        spec.heads = heads;
        spec.kv_heads = kv_heads;
        spec.head_size = size;
        spec.value_size = value_size;
        spec.attention_scale = 0.4;
        spec.attention_cap = c.cap;
        const decoder::rope_table rope({}, {}, 0);
        const decoder::layer_run<memory_source> run{nothing, spec, c.scope, rope, 0, window, 2, {}};
        const matrix queries = random_matrix(2 * window, static_cast<Eigen::Index>(heads * c.query_stride), 1);
        const matrix keys = random_matrix(2 * window, kv_heads * size, 2);
        const matrix values = random_matrix(2 * window, kv_heads * value_size, 3);
        matrix got;
        decoder::attend(run, queries, keys, values, c.sinks, got);

        double worst = 0;
        for (std::size_t t = 0; t < 2 * window; ++t)
            for (std::size_t h = 0; h < heads; ++h) {
                const std::size_t start = t / window * window;
                double total = c.sinks.empty() ? 0.0 : std::exp(double{c.sinks[h]});
                std::vector<double> wanted(value_size);
                for (std::size_t k = start; k <= t; ++k) {
                    if (!sees(c.scope, t - start, k - start)) continue;
                    double score = 0;
                    for (std::size_t i = 0; i < size; ++i)
                        score +=
                            double{queries(static_cast<Eigen::Index>(t),
                                           static_cast<Eigen::Index>(h * c.query_stride + i))} *
                            double{keys(static_cast<Eigen::Index>(k), static_cast<Eigen::Index>(h / 2 * size + i))};
                    score *= 0.4;
                    if (c.cap != 0) score = c.cap * std::tanh(score / c.cap);
                    total += std::exp(score);
                    for (std::size_t i = 0; i < value_size; ++i)
                        wanted[i] +=
                            std::exp(score) * double{values(static_cast<Eigen::Index>(k),
                                                            static_cast<Eigen::Index>(h / 2 * value_size + i))};
                }
                for (std::size_t i = 0; i < value_size; ++i)
                    worst = std::max(worst, std::abs(wanted[i] / total -
                                                     double{got(static_cast<Eigen::Index>(t),
                                                                static_cast<Eigen::Index>(h * value_size + i))}));
            }
        CHECK(worst < 3e-6);
        CHECK(worst > 0);
    }
}

TEST_CASE("attention temperature scales queries by the logarithm of their position") {
    const memory_source nothing;
    const decoder::model_spec spec;
    decoder::attention_scope scope{.temperature = {.step = 4, .offset = 1}};
    const decoder::rope_table rope({}, {}, 0);
    const decoder::layer_run<memory_source> run{nothing, spec, scope, rope, 0, 10, 1, {}};
    matrix queries = matrix::Ones(20, 3);
    decoder::apply_temperature(run, queries);
    for (const Eigen::Index window : {0, 10}) {
        CHECK((queries.middleRows(window, 3).array() == 1.0f).all());
        CHECK((queries.middleRows(window + 3, 4).array() - 1.0693147f).abs().maxCoeff() < 1e-6f);
        CHECK((queries.middleRows(window + 7, 3).array() - 1.1098612f).abs().maxCoeff() < 1e-6f);
    }

    scope.temperature = {.step = 4, .weight = 0.5};
    queries.setOnes();
    decoder::apply_temperature(run, queries);
    for (const Eigen::Index window : {0, 10}) {
        CHECK((queries.middleRows(window, 4).array() == 1.0f).all());
        CHECK((queries.middleRows(window + 4, 4).array() - 1.3465736f).abs().maxCoeff() < 1e-6f);
        CHECK((queries.middleRows(window + 8, 2).array() - 1.5493061f).abs().maxCoeff() < 1e-6f);
    }
}

TEST_CASE("delta net: the L2 norm of queries and keys has epsilon under the root") {
    std::vector<float> x{3, 4};
    decoder::detail::scale_to_length(x, 11, 12);
    CHECK(x == std::vector<float>{6, 8});  // 12 / sqrt(25 + 11)
    std::vector<float> nothing(2);
    decoder::detail::scale_to_length(nothing, 1e-6, 1);
    CHECK(nothing == std::vector<float>{0, 0});
}

TEST_CASE("delta net: the convolution is causal and stays within its window") {
    constexpr Eigen::Index window = 9, channels = 600, taps = 4;  // channels: more than two strips
    const matrix in = random_matrix(3 * window, channels, 4);
    const matrix kernel = random_matrix(taps, channels, 5);
    matrix got = in;
    decoder::detail::convolve(kernel, window, got, 2);
    double worst = 0;
    for (Eigen::Index t = 0; t < in.rows(); ++t)
        for (Eigen::Index c = 0; c < channels; ++c) {
            double sum = 0;
            for (Eigen::Index back = 0; back < taps && back <= t % window; ++back)
                sum += double{kernel(taps - 1 - back, c)} * double{in(t - back, c)};
            worst = std::max(worst, std::abs(sum / (1 + std::exp(-sum)) - double{got(t, c)}));
        }
    CHECK(worst < 3e-6);
    CHECK(worst > 0);
}

TEST_CASE("routing: experts are chosen by score and bias from the best groups, and weighted by score") {
    const auto routed = [](const decoder::expert_spec& spec, std::vector<float> bias, std::vector<float> logits) {
        matrix one = Eigen::Map<matrix>(logits.data(), 1, static_cast<Eigen::Index>(logits.size()));
        std::vector<float> weights(logits.size());                                            // 0: not chosen
        std::vector<std::vector<decoder::routed_token>> tokens(logits.size(), {{4, -1.0f}});  // of tokens before
        decoder::route(spec, bias, 5, one, 2, tokens);
        for (std::size_t e = 0; e < tokens.size(); ++e) {
            if (tokens[e].size() < 2) continue;
            CHECK(tokens[e].back().token == 5);
            weights[e] = tokens[e].back().weight;
        }
        return weights;
    };
    const auto near = [](const std::vector<float>& got, const std::vector<float>& wanted) {
        return std::ranges::equal(got, wanted, [](float a, float b) { return std::abs(a - b) < 1e-6f; });
    };
    const float l2 = std::log(2.0f), l3 = std::log(3.0f);
    using decoder::expert_gating, decoder::expert_weighting;
    decoder::expert_spec spec{.count = 4, .used = 2, .weighting = expert_weighting::as_is};
    const std::vector<float> logits{0, l2, l3, l2};                // softmax: 1/8, 2/8, 3/8, 2/8
    CHECK(near(routed(spec, {}, logits), {0, 0.25f, 0.375f, 0}));  // of equals the first
    CHECK(near(routed(spec, {1, 0, 0, 0}, logits), {0.125f, 0, 0.375f, 0}));
    spec.scale = 4;
    CHECK(near(routed(spec, {}, logits), {0, 1, 1.5f, 0}));
    spec.weighting = expert_weighting::renormalised;
    CHECK(near(routed(spec, {}, logits), {0, 1.6f, 2.4f, 0}));
    spec.scale = 1;
    spec.gating = expert_gating::sigmoid;
    CHECK(near(routed(spec, {}, logits), {0, 8.0f / 17, 9.0f / 17, 0}));  // 2/3 and 3/4
    spec.weighting = expert_weighting::as_is;
    CHECK(near(routed(spec, {}, logits), {0, 2.0f / 3, 0.75f, 0}));
    spec.gating = expert_gating::sigmoid_of_chosen;
    CHECK(near(routed(spec, {}, {-30, -40, -50, -60}), {9.35762e-14f, 4.24835e-18f, 0, 0}));
    spec.gating = expert_gating::softmax_of_chosen;
    CHECK(near(routed(spec, {}, logits), {0, 0.4f, 0.6f, 0}));

    // The group with the best expert is not the one with the best two.
    decoder::expert_spec grouped{.count = 6,
                                 .used = 2,
                                 .groups = 3,
                                 .groups_used = 1,
                                 .gating = expert_gating::sigmoid,
                                 .weighting = expert_weighting::as_is};
    CHECK(near(routed(grouped, {}, {l3, -30, l2, l2, 0, 0}), {0, 0, 2.0f / 3, 2.0f / 3, 0, 0}));
    grouped.groups_used = 2;
    CHECK(near(routed(grouped, {}, {l3, -30, l2, l2, 0, 0}), {0, 0, 2.0f / 3, 2.0f / 3, 0, 0}));
    grouped.groups_used = 3;
    CHECK(near(routed(grouped, {}, {l3, -30, l2, l2, 0, 0}), {0.75f, 0, 2.0f / 3, 0, 0, 0}));
}
