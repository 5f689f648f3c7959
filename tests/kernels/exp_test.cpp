// exp, reductions and softmax against the standard library.
#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <span>
#include <vector>

#include <doctest/doctest.h>

#include "tessera/kernels/exp.hpp"
#include "tessera/kernels/reduce.hpp"
#include "tessera/kernels/softmax.hpp"

using namespace tessera;

TEST_CASE("exp is within 1.1 units in the last place") {
    double worst = 0;
    std::size_t tried = 0;
    for (std::uint64_t bits = 0; bits <= 0xffff'ffffu; bits += 4099) {  // a prime: all exponents, both signs
        const float x = std::bit_cast<float>(static_cast<std::uint32_t>(bits));
        if (!(x > -87.3f && x < 88.72f)) continue;  // normal results
        const double exact = std::exp(double{x});
        const auto nearest = static_cast<float>(exact);
        const double unit = double{std::nextafter(nearest, std::numeric_limits<float>::infinity())} - double{nearest};
        worst = std::max(worst, std::abs(double{kernels::exp(x)} - exact) / unit);
        ++tried;
    }
    CHECK(tried > 500'000);
    CHECK(worst < 1.1);
    CHECK(worst > 0.4);  // correctly rounded everywhere would mean that the comparison is broken
}

TEST_CASE("exp at the ends of its range") {
    constexpr float infinity = std::numeric_limits<float>::infinity();
    CHECK(kernels::exp(0.0f) == 1.0f);
    CHECK(kernels::exp(-0.0f) == 1.0f);
    CHECK(kernels::exp(infinity) == infinity);
    CHECK(kernels::exp(-infinity) == 0.0f);
    CHECK(kernels::exp(89.0f) == infinity);
    CHECK(kernels::exp(1e30f) == infinity);
    CHECK(kernels::exp(-104.0f) == 0.0f);
    CHECK(kernels::exp(-1e30f) == 0.0f);
    CHECK(std::isnan(kernels::exp(std::numeric_limits<float>::quiet_NaN())));
    for (float x = -103.5f; x < -87.0f; x += 0.25f)  // subnormal results, in units of 2^-149
        CHECK(std::abs(double{kernels::exp(x)} - std::exp(double{x})) <= 1.01 * 0x1p-149 + 1e-7 * std::exp(double{x}));
}

TEST_CASE("reductions agree with plain loops at every length") {
    std::mt19937 random(5);
    std::normal_distribution<float> normal(1.0f, 3.0f);
    for (std::size_t n = 0; n < 70; ++n) {
        std::vector<float> x(n);
        for (float& v : x) v = normal(random);
        double plain = 0, squares = 0;
        for (const float v : x) {
            plain += double{v};
            squares += double{v} * double{v};
        }
        const auto both = kernels::sums<double, 2>(
            n, [&](std::size_t i) { return std::array{double{x[i]}, double{x[i]} * double{x[i]}}; });
        CHECK(both[0] == doctest::Approx(plain).epsilon(1e-12));
        CHECK(both[1] == doctest::Approx(squares).epsilon(1e-12));
        CHECK(kernels::sum<double>(n, [&](std::size_t i) { return x[i]; }) == both[0]);
        if (n == 0) continue;
        const auto largest = std::max_element(x.begin(), x.end());
        CHECK(kernels::max(x) == *largest);
        CHECK(kernels::argmax(x) == static_cast<std::size_t>(largest - x.begin()));
    }
}

TEST_CASE("argmax takes the first of equals, in and across its pieces, and ignores NaN") {
    std::vector<float> x(5000, -1.0f);
    x[3000] = x[1700] = x[1750] = 2.0f;
    CHECK(kernels::argmax(x) == 1700);
    x[10] = std::numeric_limits<float>::quiet_NaN();
    CHECK(kernels::argmax(x) == 1700);
    x[4999] = 3.0f;
    CHECK(kernels::argmax(x) == 4999);
    CHECK(kernels::argmax(std::vector<float>(40, std::numeric_limits<float>::quiet_NaN())) == 0);
    CHECK(kernels::argmax(std::vector<float>(40, -std::numeric_limits<float>::infinity())) == 0);
}

TEST_CASE("softmax") {
    std::mt19937 random(6);
    std::normal_distribution<float> normal(500.0f, 20.0f);  // far beyond what exp could take
    std::vector<float> x(133);
    for (float& v : x) v = normal(random);
    std::vector<float> got = x;
    kernels::softmax(got);
    const double largest = double{kernels::max(x)};
    double total = 0;
    for (const float v : x) total += std::exp(double{v} - largest);
    for (std::size_t i = 0; i < x.size(); ++i)
        CHECK(double{got[i]} == doctest::Approx(std::exp(double{x[i]} - largest) / total).epsilon(1e-6));
}
