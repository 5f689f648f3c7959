// Error feedback: lower errors in the metric of the inputs, exact where there is nothing to gain, calm where the
// metric is of no use.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <Eigen/Core>

#include "support/own_formats.hpp"
#include "support/random.hpp"
#include "tessera/encode/error_feedback.hpp"
#include "tessera/format/iq2.hpp"
#include "tessera/format/iq4.hpp"
#include "tessera/format/k_quants.hpp"
#include "tessera/testing/encoders.hpp"

using namespace tessera;

namespace {

using matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

// One of each kind: scale and minimum in two levels, a table of levels, codewords with an even number of signs; and
// formats that were written by hand.
using formats = format_list<q2_k, iq4_xs, iq2_xxs, support::own_nibbles, support::own_pairs>;

constexpr std::size_t columns = 512, rows = 70;  // one tile of rows and a part of one
constexpr std::size_t tokens = 2048;

/// Sums of x x' of inputs in which few directions carry most of the energy, with columns of unlike magnitude.
matrix correlated_gram() {
    constexpr Eigen::Index directions = 48;
    const auto values = support::gaussian(tokens * columns, 1), mixing = support::gaussian(directions * columns, 2),
               common = support::gaussian(tokens * directions, 3);
    constexpr float unit = 50;  // what makes those values' variance 1
    matrix x = Eigen::Map<const matrix>(values.data(), tokens, columns) * (0.4f * unit);
    x += Eigen::Map<const matrix>(common.data(), tokens, directions) *
         Eigen::Map<const matrix>(mixing.data(), directions, columns) * (0.15f * unit * unit);
    for (Eigen::Index c = 0; c < x.cols(); ++c) x.col(c) *= 0.5f + static_cast<float>(c % 7) / 4.0f;
    return x.transpose() * x;
}

/// U, put together from its spans.
Eigen::MatrixXf whole(const gram_factor& factor) {
    Eigen::MatrixXf upper = Eigen::MatrixXf::Identity(columns, columns);
    for (const gram_span& s : factor.spans())
        for (std::size_t t = 0; t < s.columns; ++t) {
            constexpr std::size_t height = kernels::packed_left<>::width;
            const float* const before = s.before.panel(t / height * height) + t % height;
            auto column = upper.col(static_cast<Eigen::Index>(s.first_step + t));
            for (std::size_t k = 0; k < s.first_step; ++k) column(static_cast<Eigen::Index>(k)) = before[k * height];
            for (std::size_t k = 0; k < t; ++k)
                column(static_cast<Eigen::Index>(s.first_step + k)) =
                    s.within(static_cast<Eigen::Index>(k), static_cast<Eigen::Index>(t));
        }
    return upper;
}

template <block_format F>
std::vector<typename F::block> encode_weighted(std::span<const float> weights, std::span<const float> importance) {
    std::vector<typename F::block> packed(weights.size() / F::block_size);
    encode_rows<F>(weighted{}, {weights, columns}, {.importance = importance}, std::span(packed));
    return packed;
}

template <block_format F>
std::vector<typename F::block> encode_feedback(std::span<const float> weights, const gram_factor& factor,
                                               int refits = 1) {
    std::vector<typename F::block> packed(weights.size() / F::block_size);
    encode_rows<F>(error_feedback{refits}, {weights, columns}, {.factor = &factor}, std::span(packed));
    return packed;
}

/// The sum of e H e' over all rows.
template <block_format F>
double metric_error(std::span<const float> weights, const std::vector<typename F::block>& packed, const matrix& gram) {
    matrix error(rows, columns);
    decode_blocks<F>(packed, std::span<float>(error.data(), rows * columns));
    error -= Eigen::Map<const matrix>(weights.data(), rows, columns);
    return (error.cast<double>() * gram.cast<double>()).cwiseProduct(error.cast<double>()).sum();
}

bool same_bytes(const auto& a, const auto& b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof a[0]) == 0;
}

}  // namespace

TEST_CASE("the factor gives back the damped moments") {
    const matrix gram = correlated_gram();
    const gram_factor factor(gram, tokens, {.damping = 0.05});
    CHECK(factor.coupling() == 1.0);
    CHECK(factor.damping() == doctest::Approx(0.05 * (1 + double{columns} / tokens)));
    const Eigen::MatrixXf upper = whole(factor);
    const Eigen::Map<const Eigen::VectorXf> pivots(factor.pivots().data(), columns);
    const Eigen::MatrixXf product = upper * pivots.asDiagonal() * upper.transpose();
    const double mean = gram.diagonal().cast<double>().mean();
    double worst = 0;
    for (Eigen::Index r = 0; r < product.rows(); ++r)
        for (Eigen::Index c = 0; c < product.cols(); ++c) {
            const auto i = static_cast<Eigen::Index>(factor.order()[static_cast<std::size_t>(r)]);
            const auto j = static_cast<Eigen::Index>(factor.order()[static_cast<std::size_t>(c)]);
            const double wanted = double{gram(i, j)} / mean + (r == c ? factor.damping() : 0.0);
            worst = std::max(worst, std::fabs(wanted - double{product(r, c)}));
        }
    CHECK(worst < 1e-4);
}

TEST_CASE("the error in the metric of the inputs falls well below that of weighted rounding") {
    const matrix gram = correlated_gram();
    const gram_factor factor(gram, tokens, {.damping = 0.01});
    const auto weights = support::gaussian(rows * columns, 4);
    formats::for_each([&]<class F>(format_tag<F>) {
        CAPTURE(F::name);
        const double before = metric_error<F>(weights, encode_weighted<F>(weights, factor.importance()), gram);
        const double frozen = metric_error<F>(weights, encode_feedback<F>(weights, factor, 0), gram);
        const double refitted = metric_error<F>(weights, encode_feedback<F>(weights, factor, 1), gram);
        CHECK(frozen < 0.8 * before);
        CHECK(frozen > 0.01 * before);
        CHECK(refitted < 1.01 * frozen);
    });
}

TEST_CASE("a row may end with a part of a span") {
    constexpr std::size_t width = columns - 192;
    const matrix gram = correlated_gram().topLeftCorner(width, width);
    const gram_factor factor(gram, tokens, {.damping = 0.01});
    REQUIRE(factor.spans().size() == 2);
    const auto weights = support::gaussian(rows * width, 9);
    const auto error = [&](const auto& encoder) {
        std::vector<iq4_nl::block> packed(weights.size() / iq4_nl::block_size);
        encode_rows<iq4_nl>(encoder, {weights, width}, {.importance = factor.importance(), .factor = &factor},
                            std::span(packed));
        matrix left(rows, width);
        decode_blocks<iq4_nl>(packed, std::span<float>(left.data(), rows * width));
        left -= Eigen::Map<const matrix>(weights.data(), rows, width);
        return (left * gram).cwiseProduct(left).cast<double>().sum();
    };
    const double before = error(weighted{}), after = error(error_feedback{});
    CHECK(after < 0.8 * before);
    CHECK(after > 0.01 * before);
}

TEST_CASE("columns that have nothing to do with each other are rounded as by weighted") {
    matrix gram = matrix::Zero(columns, columns);
    for (Eigen::Index c = 0; c < gram.rows(); ++c) gram(c, c) = 1.0f + static_cast<float>(c % 5);
    const gram_factor factor(gram, tokens, {.damping = 0.0});
    const auto weights = support::gaussian(rows * columns, 5);
    formats::for_each([&]<class F>(format_tag<F>) {
        CAPTURE(F::name);
        const auto expected = encode_weighted<F>(weights, factor.importance());
        const auto packed = encode_feedback<F>(weights, factor, 0);
        const double error = metric_error<F>(weights, packed, gram);
        CHECK(error <= metric_error<F>(weights, expected, gram) * (1 + 1e-6));
        CHECK(metric_error<F>(weights, encode_feedback<F>(weights, factor, 1), gram) <= error * (1 + 1e-6));
    });
}

TEST_CASE("weights that lie on the grid of a format stay what they are") {
    const gram_factor factor(correlated_gram(), tokens);
    std::vector<float> weights(rows * columns), decoded(weights.size());
    decode_blocks<iq4_xs>(encode_weighted<iq4_xs>(support::gaussian(weights.size(), 10), {}), weights);
    decode_blocks<iq4_xs>(encode_feedback<iq4_xs>(weights, factor), decoded);
    CHECK(std::ranges::equal(weights, decoded));
}

TEST_CASE("useless statistics do no harm") {
    const auto weights = support::gaussian(rows * columns, 6);
    const auto check = [&](const matrix& gram, std::uint64_t seen) {
        const gram_factor factor(gram, seen);
        for (const float pivot : factor.pivots()) REQUIRE((std::isfinite(pivot) && pivot > 0.0f));
        formats::for_each([&]<class F>(format_tag<F>) {
            CAPTURE(F::name);
            const matrix even = matrix::Identity(columns, columns);
            const double error = metric_error<F>(weights, encode_feedback<F>(weights, factor), even);
            CHECK(std::isfinite(error));
            CHECK(error < double{rows * columns});  // better than zeros
        });
        return factor.coupling();
    };
    matrix one_token(columns, columns);
    const auto x = support::gaussian(columns, 7);
    const Eigen::Map<const Eigen::RowVectorXf> token(x.data(), columns);
    one_token.noalias() = token.transpose() * token;
    CHECK(check(one_token, 1) == 1.0);
    CHECK(gram_factor(one_token, 1).damping() > 10);
    check(matrix::Zero(columns, columns), 100);
    check(matrix::Constant(columns, columns, std::numeric_limits<float>::quiet_NaN()), 100);
    matrix indefinite = matrix::Constant(columns, columns, -1e3f);
    indefinite.diagonal().setOnes();
    CHECK(check(indefinite, 100) < 1.0);
}

TEST_CASE("results do not depend on threads or on what else is encoded") {
    const matrix gram = correlated_gram();
    const gram_factor one(gram, tokens, {.threads = 1}), three(gram, tokens, {.threads = 3});
    CHECK(std::ranges::equal(one.pivots(), three.pivots()));
    const auto weights = support::gaussian(rows * columns, 8);
    formats::for_each([&]<class F>(format_tag<F>) {
        CAPTURE(F::name);
        const auto all = encode_feedback<F>(weights, one);
        CHECK(same_bytes(all, encode_feedback<F>(weights, three)));
        constexpr std::size_t some = 3 * columns;
        const std::vector<typename F::block> first(all.begin(), all.begin() + some / F::block_size);
        CHECK(same_bytes(first, encode_feedback<F>(std::span(weights).first(some), one)));
    });
}

TEST_CASE("error feedback keeps what is asked of every encoder") {
    const gram_factor factor(correlated_gram(), tokens, {.damping = 0.01});
    for (const std::string& failure : testing::check_encoder<formats>(error_feedback{}, columns, {.factor = &factor}))
        FAIL_CHECK(failure);
}
