// Encoders against plain double precision: error feedback code for code, scales in two levels against all there are.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>
#include <Eigen/Core>

#include "support/random.hpp"
#include "tessera/encode/encoders.hpp"
#include "tessera/encode/error_feedback.hpp"
#include "tessera/format/combination.hpp"
#include "tessera/format/iq4.hpp"
#include "tessera/format/k_quants.hpp"
#include "tessera/format/low_bit.hpp"

namespace oracle {

using namespace tessera;

namespace {

using Eigen::Index;

// --- error feedback ---

constexpr Index columns = 512, rows = 20, tokens = 1024;  // more than one span, less than a tile of rows

/// Sums of x x' of inputs that depend on each other and are of unlike magnitude.
Eigen::MatrixXf gram_of_inputs() {
    const auto own = support::gaussian(tokens * columns, 11), common = support::gaussian(tokens * 32, 12),
               mixing = support::gaussian(32 * columns, 13);
    Eigen::MatrixXf x = Eigen::Map<const Eigen::MatrixXf>(own.data(), tokens, columns);
    x += 300 * Eigen::Map<const Eigen::MatrixXf>(common.data(), tokens, 32) *
         Eigen::Map<const Eigen::MatrixXf>(mixing.data(), 32, columns);
    for (Index c = 0; c < columns; ++c) x.col(c) *= 30 + static_cast<float>(c % 5) * 20;
    return x.transpose() * x;
}

/// U of U D U' = H / tokens / mean + damping, with columns in this order.
Eigen::MatrixXd upper_factor(const Eigen::MatrixXf& gram, std::span<const std::size_t> order, double damping) {
    const double mean = gram.diagonal().cast<double>().mean();
    Eigen::MatrixXd upper = Eigen::MatrixXd::Identity(columns, columns);
    Eigen::VectorXd pivots(columns);
    for (Index t = columns - 1; t >= 0; --t)
        for (Index s = t; s >= 0; --s) {
            const auto i = static_cast<Index>(order[static_cast<std::size_t>(s)]);
            const auto j = static_cast<Index>(order[static_cast<std::size_t>(t)]);
            double left = double{gram(i, j)} / mean + (s == t ? damping : 0.0);
            for (Index k = t + 1; k < columns; ++k) left -= upper(s, k) * pivots[k] * upper(t, k);
            (s == t ? pivots[t] : upper(s, t)) = s == t ? left : left / pivots[t];
        }
    return upper;
}

struct comparison {
    int codes = 0, others = 0;  ///< all, and those that are not what the oracle rounds to
    double farthest = 0;        ///< of the others, how much nearer the oracle's is, in steps between the two
    int others_if_unmoved = 0;  ///< codes that are not what rounding each weight by itself gives
};

/// LDLQ under the scales that the blocks hold: step t rounds its weight, moved by the errors of all steps before it
/// times U's column t, to the nearest value. Each code is compared with that, given the codes before it.
template <class F>
comparison compare(std::span<const float> weights, std::span<const typename F::block> packed,
                   const Eigen::MatrixXd& upper, std::span<const std::size_t> order) {
    comparison result;
    for (std::size_t r = 0; r < static_cast<std::size_t>(rows); ++r) {
        Eigen::VectorXd errors = Eigen::VectorXd::Zero(columns);
        for (Index t = 0; t < columns; ++t) {
            const std::size_t column = order[static_cast<std::size_t>(t)], i = column % F::block_size;
            typename F::scales scales;
            typename F::code_array codes;
            F::load(packed[(r * columns + column) / F::block_size], scales, codes);
            const auto value = [&](std::size_t code) {
                const std::size_t g = i / F::sub_block_size;
                return double{scales.scale(g)} * double{F::codebook::level(static_cast<std::uint8_t>(code))} -
                       double{scales.min(g)};
            };
            const auto nearest_to = [&](double x) {
                std::size_t best = 0;
                for (std::size_t code = 1; code <= F::codebook::steps; ++code)
                    if (std::fabs(x - value(code)) < std::fabs(x - value(best))) best = code;
                return best;
            };
            const double weight = double{weights[r * columns + column]}, got = value(codes[i]);
            const double aim = weight + errors.head(t).dot(upper.col(t).head(t));
            const double wanted = value(nearest_to(aim));
            errors[t] = weight - got;
            ++result.codes;
            result.others_if_unmoved += value(nearest_to(weight)) != got ? 1 : 0;
            if (wanted == got) continue;
            ++result.others;
            const double nearer = std::fabs(aim - got) - std::fabs(aim - wanted);
            result.farthest = std::max(result.farthest, nearer / std::fabs(wanted - got));
        }
    }
    return result;
}

// --- scales in two levels ---

/// Two bits for two parts of 16 weights, with two bits for each part's scale and minimum: so few that all can be tried.
struct small_levels {
    struct fields {
        bfloat16 super_scale, super_min;
        std::array<std::uint8_t, 2> sub_scales, sub_mins;
    };
    struct policy : two_level_scales<bfloat16, 2, 0, 3, 3> {
        static scales load(const fields& in) noexcept {
            scales s{in.super_scale, in.super_min, {}, in.sub_mins};
            std::ranges::copy(in.sub_scales, s.sub_scale.begin());
            return s;
        }
        static void store(const scales& s, fields& out) noexcept {
            out = {s.super_scale, s.super_min, {}, s.sub_min};
            std::ranges::copy(s.sub_scale, out.sub_scales.begin());
        }
    };
};
struct small_layout : combination<2, 32, small_levels, non_negative<2>> {
    static constexpr std::string_view name = "small";
};
using small = scalar_format<small_layout>;
static_assert(two_stage_format<small>);

/// The least sum of w (x - scale * level + min)^2 that codes of a linear codebook can reach.
template <class Codebook>
double least_error(std::span<const float> x, std::span<const float> w, float scale, float min) {
    const float inverse = scale == 0.0f ? 0.0f : 1.0f / scale;
    float sum = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
        const float level = std::clamp(std::nearbyint((x[i] + min) * inverse), Codebook::low, Codebook::high);
        const float left = x[i] + min - scale * level;
        sum += w[i] * left * left;
    }
    return double{sum};
}

/// All positive values of a 16-bit float within a factor of `low` to `high` of `near`.
template <class Scalar>
std::vector<float> values_around(float near, float low, float high) {
    std::vector<float> values;
    Scalar scalar{};
    for (unsigned bits = 0; bits < 0x8000; ++bits) {
        scalar.bits = static_cast<std::uint16_t>(bits);
        const auto value = static_cast<float>(scalar);
        if (value >= low * near && value <= high * near) values.push_back(value);
    }
    return values;
}

template <class F>
double error_of(std::span<const float> x, std::span<const float> w) {
    std::array<typename F::block, 1> packed;
    encode_rows<F>(weighted{}, {x, x.size()}, {.importance = w}, std::span(packed));
    std::array<float, F::block_size> decoded;
    F::decode(packed[0], decoded);
    double sum = 0;
    for (std::size_t i = 0; i < F::block_size; ++i)
        sum += double{w[i]} * double{x[i] - decoded[i]} * double{x[i] - decoded[i]};
    return sum;
}

float largest_of(std::span<const float> x) {
    float largest = 0;
    for (const float value : x) largest = std::max(largest, std::fabs(value));
    return largest;
}

std::vector<float> importances(std::size_t count, std::uint32_t seed) {
    std::vector<float> w = support::gaussian(count, seed);
    for (float& value : w) value = 0.01f + std::fabs(value);
    return w;
}

}  // namespace

TEST_CASE("error feedback rounds as LDLQ in double precision does under the same scales, code for code") {
    const Eigen::MatrixXf gram = gram_of_inputs();
    const gram_factor factor(gram, tokens, {.damping = 0.05});
    REQUIRE(factor.coupling() == 1.0);
    const Eigen::MatrixXd upper = upper_factor(gram, factor.order(), 0.05 * (1.0 + double{columns} / tokens));
    const auto weights = support::gaussian(rows * columns, 14);
    // Scale and minimum in two levels, a signed scale in two levels, a table of levels, one scale.
    format_list<q2_k, q5_k, q6_k, iq4_xs, tq2_0>::for_each([&]<class F>(format_tag<F>) {
        const auto encode = std::make_unique<feedback_rows<F>>(factor);
        for (const int refits : {0, 2}) {
            CAPTURE(F::name);
            CAPTURE(refits);
            std::vector<typename F::block> packed(weights.size() / F::block_size);
            (*encode)(weights, factor.importance(), refits, packed);
            const comparison found = compare<F>(weights, packed, upper, factor.order());
            CAPTURE(found.others);
            CAPTURE(found.others_if_unmoved);
            // What single precision decides otherwise are aims in the middle between two values.
            CHECK(found.farthest < 1e-4);
            CHECK(found.others < found.codes / 1000);
            CHECK(found.others_if_unmoved > found.codes / 25);
        }
    });
}

TEST_CASE("scale and minimum in two levels are near the best of all") {
    using codebook = small::codebook;
    double ours = 0, best = 0;
    for (const std::uint32_t seed : {41u, 42u, 43u}) {
        auto x = support::gaussian(small::block_size, seed);
        for (std::size_t i = 0; i < x.size(); ++i) x[i] += i < 16 ? 0.01f : -0.02f;
        const auto w = importances(x.size(), seed + 10);
        const auto supers = values_around<bfloat16>(largest_of(x) / 3, 1.0f / 8, 1.0f);
        std::vector<float> mins = values_around<bfloat16>(largest_of(x) / 3, 1.0f / 8, 1.2f);
        mins.push_back(0.0f);
        double least = std::numeric_limits<double>::infinity();
        for (const float scale : supers)
            for (const float min : mins) {
                double sum = 0;
                for (std::size_t g = 0; g < 2; ++g) {
                    double of_part = std::numeric_limits<double>::infinity();
                    for (int i = 0; i <= 3; ++i)
                        for (int j = 0; j <= 3; ++j)
                            of_part = std::min(of_part, least_error<codebook>(std::span(x).subspan(g * 16, 16),
                                                                              std::span(w).subspan(g * 16, 16),
                                                                              scale * static_cast<float>(i),
                                                                              min * static_cast<float>(j)));
                    sum += of_part;
                }
                least = std::min(least, sum);
            }
        const double got = error_of<small>(x, w);
        CAPTURE(got / least);
        CHECK(got >= least * (1 - 1e-4));
        CHECK(got <= least * 1.25);
        ours += got;
        best += least;
    }
    CAPTURE(ours / best);
    CHECK(ours <= best * 1.1);
}

TEST_CASE("signed scales in two levels are near the best of all") {
    using codebook = q3_k::codebook;
    const auto x = support::gaussian(q3_k::block_size, 51), w = importances(q3_k::block_size, 52);
    double least = std::numeric_limits<double>::infinity();
    for (const float magnitude : values_around<half>(largest_of(x) / (4 * 32), 1.0f / 4, 2.0f))
        for (const float super : {magnitude, -magnitude}) {
            double sum = 0;
            for (std::size_t g = 0; g < 16 && sum < least; ++g) {
                double of_part = std::numeric_limits<double>::infinity();
                for (int i = -32; i <= 31; ++i)
                    of_part = std::min(of_part, least_error<codebook>(std::span(x).subspan(g * 16, 16),
                                                                      std::span(w).subspan(g * 16, 16),
                                                                      super * static_cast<float>(i), 0.0f));
                sum += of_part;
            }
            least = std::min(least, sum);
        }
    const double got = error_of<q3_k>(x, w);
    CAPTURE(got / least);
    CHECK(got >= least * (1 - 1e-4));
    CHECK(got <= least * 1.03);
}

}  // namespace oracle
