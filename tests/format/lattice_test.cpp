// Formats of vectors: rounding finds the nearest of all codes, against a search through the codebooks as the
// specification lists them.
#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <limits>
#include <random>
#include <span>
#include <vector>

#include <doctest/doctest.h>

#include "format/codebooks.hpp"
#include "tessera/format.hpp"

using namespace tessera;

namespace {

using vector8 = std::array<float, 8>;

enum class sign_rule { none, free, even };

struct codes_of_a_format {
    std::vector<std::vector<double>> rows;  // of 8 or 4 levels
    sign_rule signs;
    std::vector<double> shifts{0.0};  // to choose from for all eight weights
};

template <class Codebook>
std::vector<std::vector<double>> rows_of(const Codebook& codebook, std::size_t dimensions, double factor) {
    std::vector<std::vector<double>> rows(codebook.digits.size() / codebook.row_digits);
    for (std::size_t r = 0; r < rows.size(); ++r)
        for (std::size_t j = 0; j < dimensions; ++j) rows[r].push_back(factor * codebook(r, j));
    return rows;
}

/// What eight weights may decode to, divided by the scale of their sub-block. IQ1's levels count eighths; `shift` is
/// that of an IQ1_S sub-block.
codes_of_a_format codes_of(type_id type, double shift) {
    namespace spec = scalar_decoder;
    switch (type) {
        case type_id::iq2_xxs: return {rows_of(spec::iq2xxs, 8, 1), sign_rule::even};
        case type_id::iq2_xs: return {rows_of(spec::iq2xs, 8, 1), sign_rule::even};
        case type_id::iq2_s: return {rows_of(spec::iq2s, 8, 1), sign_rule::free};
        case type_id::iq3_xxs: return {rows_of(spec::iq3xxs, 4, 1), sign_rule::even};
        case type_id::iq3_s: return {rows_of(spec::iq3s, 4, 1), sign_rule::free};
        case type_id::iq1_s: return {rows_of(spec::iq1s, 8, 8), sign_rule::none, {shift}};
        case type_id::iq1_m: return {rows_of(spec::iq1s, 8, 8), sign_rule::none, {-1.0, 1.0}};
        default: FAIL("a new format of vectors needs its codes written here"); return {};
    }
}

/// Least errors by the parity of the number of negative signs.
struct parity_errors {
    double even, odd;
};

parity_errors least_errors(const codes_of_a_format& codes, std::span<const float> x, std::span<const float> w,
                           double scale, double shift) {
    const double infinity = std::numeric_limits<double>::infinity();
    parity_errors least{infinity, infinity};
    for (const auto& row : codes.rows) {
        parity_errors sum{0, infinity};
        for (std::size_t j = 0; j < row.size(); ++j) {
            const double plus = double{w[j]} * std::pow(double{x[j]} - scale * (row[j] + shift), 2);
            const double minus =
                codes.signs == sign_rule::none ? infinity : double{w[j]} * std::pow(double{x[j]} + scale * row[j], 2);
            sum = {std::min(sum.even + plus, sum.odd + minus), std::min(sum.odd + plus, sum.even + minus)};
        }
        least = {std::min(least.even, sum.even), std::min(least.odd, sum.odd)};
    }
    return least;
}

/// The least weighted squared error with which any code stands for x.
double least_error(const codes_of_a_format& codes, const vector8& x, const vector8& w, double scale) {
    double least = std::numeric_limits<double>::infinity();
    for (const double shift : codes.shifts) {
        const std::size_t n = codes.rows.front().size();
        parity_errors sum = least_errors(codes, std::span(x).first(n), std::span(w).first(n), scale, shift);
        if (n == 4) {
            const auto second = least_errors(codes, std::span(x).last(4), std::span(w).last(4), scale, shift);
            sum = {std::min(sum.even + second.even, sum.odd + second.odd),
                   std::min(sum.even + second.odd, sum.odd + second.even)};
        }
        least = std::min({least, sum.even, codes.signs == sign_rule::even ? sum.even : sum.odd});
    }
    return least;
}

}  // namespace

TEST_CASE("vectors are rounded to the nearest of all codes") {
    std::size_t tested = 0;
    builtin_formats::for_each([&]<class F>(format_tag<F>) {
        if constexpr (requires { requires F::group == 8; }) {
            CAPTURE(F::name);
            ++tested;
            std::mt19937 random(17);
            std::normal_distribution<float> gauss;
            std::lognormal_distribution<float> spread(0.0f, 1.0f);
            std::array codes{codes_of(F::type, 1.0), codes_of(F::type, -1.0)};
            double highest = 0;
            for (const auto& row : codes[0].rows)
                highest = std::max(highest, *std::max_element(row.begin(), row.end()));

            // Sub-scales of random bytes, under a block scale that is none.
            std::array<std::byte, sizeof(typename F::block)> bytes;
            for (auto& byte : bytes) byte = static_cast<std::byte>(random());
            typename F::scales s;
            typename F::code_array ignored;
            F::load(std::bit_cast<typename F::block>(bytes), s, ignored);
            s.super_scale = half(0.0123f);
            double worst = 0, least = 2;
            for (std::size_t trial = 0; trial < 3 * F::block_size / 8; ++trial) {
                const std::size_t first = trial * 8 % F::block_size, u = first / F::sub_block_size;
                const double scale = double{F::scale(s, u)};
                // From far inside the levels to far beyond them; some weights without importance.
                const auto width = static_cast<float>(scale * highest * std::array{0.15, 0.5, 1.5}[trial % 3]);
                vector8 x, w;
                for (std::size_t j = 0; j < 8; ++j) {
                    x[j] = width * gauss(random);
                    w[j] = random() % 8 == 0 ? 0.0f : spread(random);
                }
                w[trial % 8] = 1.0f;
                const vector8 value = F::value(s, first, F::round(s, first, x, w));
                double error = 0;
                for (std::size_t j = 0; j < 8; ++j) error += double{w[j]} * std::pow(double{x[j] - value[j]}, 2);
                const double best = least_error(codes[F::shift(s, u) < 0 ? 1 : 0], x, w, scale);
                worst = std::max(worst, error / best);
                least = std::min(least, error / best);
            }
            CAPTURE(worst);
            CAPTURE(least);
            CHECK(worst < 1.0002);
            CHECK(least > 0.9999);
        }
    });
    CHECK(tested > 0);
}
