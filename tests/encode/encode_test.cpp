#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "support/random.hpp"
#include "support/support.hpp"
#include "tessera/encode.hpp"
#include "tessera/format.hpp"

using namespace tessera;
using support::gaussian;

namespace {

struct errors {
    double rmse, weighted_rmse;
};

template <block_format F, class Encoder>
std::vector<float> encode_decode(const Encoder& encoder, std::span<const float> row,
                                 std::span<const float> importance) {
    std::vector<typename F::block> blocks(row.size() / F::block_size);
    encoder(format_tag<F>{}, row, importance, std::span(blocks));
    std::vector<float> decoded(row.size());
    decode_blocks<F>(blocks, decoded);
    return decoded;
}

template <block_format F, class Encoder>
errors measure(const Encoder& encoder, const std::vector<float>& weights, const std::vector<float>& importance,
               bool use_importance) {
    const std::size_t columns = importance.size();
    double sum = 0, weighted_sum = 0, weight = 0;
    for (std::size_t r = 0; r < weights.size() / columns; ++r) {
        const std::span<const float> row(weights.data() + r * columns, columns);
        const auto decoded = encode_decode<F>(
            encoder, row, use_importance ? std::span<const float>(importance) : std::span<const float>());
        for (std::size_t i = 0; i < columns; ++i) {
            const double e = double{decoded[i]} - double{row[i]};
            sum += e * e;
            weighted_sum += double{importance[i]} * e * e;
            weight += double{importance[i]};
        }
    }
    return {std::sqrt(sum / static_cast<double>(weights.size())), std::sqrt(weighted_sum / weight)};
}

}  // namespace

TEST_CASE("the weighted encoder is no worse than the reference on the golden matrix, and not suspiciously better") {
    const auto table = support::shared("golden/encode/reference_errors.csv");
    if (!table) return;
    const auto weights = support::read_values<float>(*support::shared("golden/encode/weights.f32"));
    const auto importance = support::read_values<float>(*support::shared("golden/encode/importance.f32"));
    std::size_t compared = 0;
    std::istringstream lines(support::read_text(*table));
    std::string line;
    std::getline(lines, line);
    while (std::getline(lines, line)) {
        std::replace(line.begin(), line.end(), ',', ' ');
        std::istringstream fields(line);
        std::string name;
        int with_importance;
        double bits, rmse, weighted_rmse;
        REQUIRE(static_cast<bool>(fields >> name >> with_importance >> bits >> rmse >> weighted_rmse));
        const type_layout* layout = builtin_formats::find(name);
        if (layout == nullptr) continue;
        CAPTURE(name);
        CAPTURE(with_importance);
        builtin_formats::dispatch(layout->id, [&]<class F>(format_tag<F>) {
            const errors ours = measure<F>(weighted{}, weights, importance, with_importance == 1);
            const double got = with_importance == 1 ? ours.weighted_rmse : ours.rmse;
            const double reference = with_importance == 1 ? weighted_rmse : rmse;
            MESSAGE(name << " importance " << with_importance << ": error " << got << ", reference " << reference
                         << ", ratio " << got / reference);
            CHECK(got <= reference);
            CHECK(got >= 0.6 * reference);
        });
        ++compared;
    }
    CHECK(compared > 0);
}

TEST_CASE("weighted beats nearest on plain and on weighted error") {
    const auto x = gaussian(16 * 1024, 1);
    std::vector<float> importance(1024);
    std::mt19937 random(2);
    std::lognormal_distribution<float> spread(0.0f, 1.5f);
    for (float& w : importance) w = spread(random);
    builtin_formats::for_each([&]<class F>(format_tag<F>) {
        if constexpr (scaled_format<F>) {
            CAPTURE(F::name);
            const errors plain = measure<F>(nearest{}, x, importance, false);
            CHECK(measure<F>(weighted{}, x, importance, false).rmse < plain.rmse);
            CHECK(measure<F>(weighted{}, x, importance, true).weighted_rmse < 0.97 * plain.weighted_rmse);
        }
    });
}

TEST_CASE("a block's scales are near the best that an exhaustive search finds") {
    // Q4_0 has one scale per block, so every half can be tried.
    const auto x = gaussian(32 * 20, 3);
    for (std::size_t b = 0; b < 20; ++b) {
        const std::span<const float> block(x.data() + b * 32, 32);
        const auto error_with = [&](half scale) {
            double sum = 0;
            const q4_0::scales s{scale, half(0.0f), {1}, {0}};
            for (std::size_t i = 0; i < 32; ++i)
                sum += std::pow(double{q4_0::value(s, i, q4_0::round(s, i, block[i]))} - double{block[i]}, 2);
            return sum;
        };
        double best = std::numeric_limits<double>::infinity();
        for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
            half scale;
            scale.bits = static_cast<std::uint16_t>(bits);
            if (std::abs(static_cast<float>(scale)) > 0.0005f && std::abs(static_cast<float>(scale)) < 0.05f)
                best = std::min(best, error_with(scale));
        }
        const auto decoded = encode_decode<q4_0>(weighted{}, block, {});
        double ours = 0;
        for (std::size_t i = 0; i < 32; ++i) ours += std::pow(double{decoded[i]} - double{block[i]}, 2);
        CHECK(ours >= best * (1 - 1e-6));
        CHECK(ours <= best * 1.05);
    }
}

TEST_CASE("blocks do not influence each other, and tails of a row are encoded like the rest") {
    builtin_formats::for_each([]<class F>(format_tag<F>) {
        CAPTURE(F::name);
        const auto x = gaussian(F::block_size * 11, 4);
        const auto together = encode_decode<F>(weighted{}, x, {});
        for (std::size_t b = 0; b < 11; ++b) {
            const auto alone =
                encode_decode<F>(weighted{}, std::span<const float>(x).subspan(b * F::block_size, F::block_size), {});
            REQUIRE(std::equal(alone.begin(), alone.end(),
                               together.begin() + static_cast<std::ptrdiff_t>(b * F::block_size)));
        }
    });
}

TEST_CASE("odd rows: zeros, constants, denormals, huge values, no importance at all, one weight that matters") {
    builtin_formats::for_each([]<class F>(format_tag<F>) {
        if constexpr (F::block_size > 1) {
            CAPTURE(F::name);
            for (const float value : encode_decode<F>(weighted{}, std::vector<float>(512, 0.0f), {}))
                REQUIRE(value == 0.0f);
            for (const float constant : {0.5f, -3.0f, 1e-3f}) {
                const std::vector<float> row(512, constant);
                for (const float value : encode_decode<F>(weighted{}, row, {}))
                    REQUIRE(value == doctest::Approx(constant).epsilon(0.02));
            }
            for (const float magnitude : {1e-42f, 1e-25f, 1e25f, std::numeric_limits<float>::max()}) {
                auto row = gaussian(512, 5);
                for (float& value : row) value *= 10.0f * magnitude / 10.0f;
                for (const float value : encode_decode<F>(weighted{}, row, {})) REQUIRE(std::isfinite(value));
            }
            const auto x = gaussian(512, 6);
            const std::vector<float> no_importance(512, 0.0f);
            CHECK(encode_decode<F>(weighted{}, x, no_importance) == encode_decode<F>(weighted{}, x, {}));
            std::vector<float> one(512, 0.0f);
            one[100] = 1.0f;
            CHECK(encode_decode<F>(weighted{}, x, one)[100] == doctest::Approx(x[100]).epsilon(0.01));
        }
    });
}
