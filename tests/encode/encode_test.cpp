// Encoders, over all formats: bounds on errors, and finite results for every row of floats.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <random>
#include <span>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "format/codec.hpp"
#include "support/random.hpp"
#include "support/support.hpp"
#include "tessera/encode.hpp"
#include "tessera/format.hpp"

using namespace tessera;
using codec::energy;
using codec::for_each_quantizing_format;
using codec::squared_error;
using support::gaussian;

namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float largest = std::numeric_limits<float>::max();
const float not_a_number = std::numeric_limits<float>::quiet_NaN();

/// Calls check(encoder) for every encoder.
template <class Check>
void for_each_encoder(Check check) {
    const auto named = [&](const std::string& encoder_name, const auto& encoder) {
        CAPTURE(encoder_name);
        check(encoder);
    };
    named("nearest", nearest{});
    named("weighted", weighted{});
}

template <class Encoder>
std::vector<float> encode_decode_rows(const type_layout& format, const Encoder& encoder, std::span<const float> rows,
                                      std::size_t columns, std::span<const float> importance) {
    std::vector<float> all;
    for (std::size_t first = 0; first < rows.size(); first += columns) {
        const auto row = codec::encode_decode(format, encoder, rows.subspan(first, columns), importance);
        all.insert(all.end(), row.begin(), row.end());
    }
    return all;
}

std::vector<float> repeated(std::span<const float> values, std::size_t times) {
    std::vector<float> all;
    for (std::size_t k = 0; k < times; ++k) all.insert(all.end(), values.begin(), values.end());
    return all;
}

std::vector<float> scaled(std::vector<float> values, float factor) {
    for (float& value : values) value *= factor;
    return values;
}

std::vector<float> log_normal(std::size_t count, float spread, std::uint32_t seed) {
    std::mt19937 random(seed);
    std::lognormal_distribution<float> distribution(0.0f, spread);
    std::vector<float> values(count);
    for (float& value : values) value = distribution(random);
    return values;
}

using named_row = std::pair<std::string, std::vector<float>>;

/// A block of the largest formats.
constexpr std::size_t n = 256;

/// n values, each from its place.
template <class Value>
std::vector<float> made(Value value) {
    std::vector<float> values(n);
    for (std::size_t i = 0; i < n; ++i) values[i] = static_cast<float>(value(i));
    return values;
}

std::vector<float> constant(float value) { return std::vector<float>(n, value); }

std::vector<float> with(std::vector<float> values, std::size_t place, float value) {
    values[place] = value;
    return values;
}

/// Finite weights that are hard to scale.
std::vector<named_row> hard_rows() {
    const auto usual = gaussian(n, 21), tiny = scaled(usual, 1e-3f);
    return {
        {"constant", constant(0.75f)},
        {"negative constant", constant(-0.3f)},
        {"alternating", made([](std::size_t i) { return i % 2 == 0 ? 1 : -1; })},
        {"ramp", made([](std::size_t i) { return static_cast<double>(i) - 100.5; })},
        {"all positive", made([&](std::size_t i) { return std::abs(usual[i]); })},
        {"every magnitude",
         made([](std::size_t i) { return (i % 2 ? 1 : -1) * std::ldexp(1, static_cast<int>(i) - 130); })},
        {"alone", with(constant(0.0f), 200, 1.0f)},
        {"alone and denormal", with(constant(0.0f), 200, -1e-41f)},
        {"an outlier among tiny ones", with(tiny, 17, 3.0f)},
        {"a negative outlier in the last place", with(tiny, n - 1, -3.0f)},
        {"a huge outlier", with(tiny, 40, 1e30f)},
        {"denormals", scaled(usual, 1e-42f)},
        {"the smallest denormal", constant(std::numeric_limits<float>::denorm_min())},
        {"squares vanish", scaled(usual, 1e-25f)},
        {"below the smallest half", scaled(usual, 1e-7f)},
        {"beyond the largest half", scaled(usual, 1e9f)},
        {"squares overflow", scaled(usual, 1e25f)},
        {"largest", constant(largest)},
        {"largest and lowest", made([](std::size_t i) { return i % 3 == 0 ? largest : -largest; })},
    };
}

/// Rows with what is no number: the pipeline reports them, an encoder must survive them.
std::vector<named_row> broken_rows() {
    const auto usual = gaussian(n, 31);
    std::vector<named_row> rows{
        {"all NaN", constant(not_a_number)},
        {"all infinite", constant(infinity)},
        {"all kinds", with(with(with(usual, 100, infinity), 101, -infinity), 102, not_a_number)},
    };
    for (const float value : {not_a_number, infinity, -infinity}) {
        rows.emplace_back(std::to_string(value) + " in the first place", with(usual, 0, value));
        rows.emplace_back(std::to_string(value) + " in the last place", with(usual, n - 1, value));
    }
    return rows;
}

std::vector<named_row> hard_importances() {
    return {
        {"none", {}},
        {"zeros", constant(0.0f)},
        {"huge", constant(1e30f)},
        {"tiny", constant(1e-30f)},
        {"one column of sixteen", made([](std::size_t i) { return i % 16 == 4; })},
        {"every other column", made([](std::size_t i) { return i % 2; })},
        {"one spike", with(constant(1e-6f), 200, 1e6f)},
        {"60 powers of ten", made([](std::size_t i) { return std::pow(10, static_cast<double>(i * 37 % 61) - 30); })},
    };
}

/// What is no importance. How NaN and negative numbers count is tested elsewhere.
std::vector<named_row> broken_importances() {
    const auto usual = log_normal(n, 1.0f, 33);
    constexpr std::array kinds{infinity, -infinity, largest, -1.0f};
    return {
        {"some infinite", made([&](std::size_t i) { return i % 7 == 0 ? infinity : usual[i]; })},
        {"all infinite", constant(infinity)},
        {"all kinds", made([&](std::size_t i) { return i % 5 < 4 ? kinds[i % 5] : not_a_number; })},
    };
}

/// What no block may hold: a scale that is no number, or MXFP4's exponent for it.
template <class Encoder>
std::size_t unusable_values(const type_layout& format, const Encoder& encoder, std::span<const float> row,
                            std::span<const float> importance) {
    const auto bytes = codec::encode(format, encoder, row, importance);
    const auto decoded = codec::decode(format, bytes);
    auto count = static_cast<std::size_t>(
        std::count_if(decoded.begin(), decoded.end(), [](float value) { return !std::isfinite(value); }));
    if (format.id == type_id::mxfp4)
        for (std::size_t b = 0; b < bytes.size(); b += format.block_bytes) count += bytes[b] == std::byte{255} ? 1 : 0;
    return count;
}

/// How near a format's scales come to any that are wanted: half a step of three bits of mantissa, or that of a half
/// with some room for sub-scales.
double scale_precision(const type_layout& format) {
    return format.id == type_id::mxfp4 ? 0.0 : format.id == type_id::nvfp4 ? 0x1p-4 : 0x1p-9;
}

// Formats whose block has one half and few levels, at least three: every half can be tried.
template <class F>
concept has_one_half =
    scaled_format<F> && F::scaling::sub_blocks == 1 && !F::scaling::has_min &&
    std::same_as<typename F::scaling::scalar, half> && (F::codebook::steps > 1 && F::codebook::steps < 32);

/// The pairs of a row and importances that a check fails for, by name.
template <class Check>
std::string failures(const std::vector<named_row>& rows, const std::vector<named_row>& importances, Check check) {
    std::string failed;
    for (const auto& [row_name, row] : rows)
        for (const auto& [importance_name, importance] : importances)
            if (!check(row, importance)) failed += row_name + " with importances: " + importance_name + "; ";
    return failed;
}

}  // namespace

TEST_CASE("the weighted encoder is no worse than the reference on the golden matrix, and not suspiciously better") {
    const auto table = support::shared("golden/encode/reference_errors.csv");
    if (!table) return;
    const auto weights = support::read_values<float>(*support::shared("golden/encode/weights.f32"));
    const auto importance = support::read_values<float>(*support::shared("golden/encode/importance.f32"));
    const auto importances = repeated(importance, weights.size() / importance.size());
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
        const type_layout* format = builtin_formats::find(name);
        if (format == nullptr) continue;
        const bool by_importance = with_importance == 1;
        const auto decoded =
            encode_decode_rows(*format, weighted{}, weights, importance.size(),
                               by_importance ? std::span<const float>(importance) : std::span<const float>());
        const double got = by_importance
                               ? std::sqrt(squared_error(decoded, weights, importances) /
                                           energy(std::vector<float>(weights.size(), 1.0f), importances))
                               : std::sqrt(squared_error(decoded, weights) / static_cast<double>(weights.size()));
        const double reference = by_importance ? weighted_rmse : rmse;
        MESSAGE(name << " importance " << with_importance << ": error " << got << ", reference " << reference
                     << ", ratio " << got / reference);
        CHECK(got <= reference);
        CHECK(got >= 0.4 * reference);
        ++compared;
    }
    CHECK(compared > 0);
}

TEST_CASE("weighted beats nearest in plain and weighted error, and no error is below Shannon's bound") {
    constexpr std::size_t columns = 1024, rows = 16;
    const auto x = gaussian(rows * columns, 1);
    const auto importance = log_normal(columns, 1.5f, 2);
    const auto importances = repeated(importance, rows);
    for_each_quantizing_format([&](const type_layout& format) {
        const auto plain = encode_decode_rows(format, nearest{}, x, columns, {});
        const auto searched = encode_decode_rows(format, weighted{}, x, columns, {});
        const auto by_importance = encode_decode_rows(format, weighted{}, x, columns, importance);
        CHECK(squared_error(searched, x) <= squared_error(plain, x));
        CHECK(squared_error(by_importance, x, importances) < 0.97 * squared_error(plain, x, importances));
        CHECK(squared_error(by_importance, x, importances) < squared_error(searched, x, importances));
        // Independent normal values cannot be coded with a relative error below 2^-bits.
        const double relative = std::sqrt(squared_error(searched, x) / energy(x));
        CAPTURE(relative * std::pow(2.0, codec::bits_per_weight(format)));
        CHECK(relative > std::pow(2.0, -codec::bits_per_weight(format)));
    });
}

TEST_CASE("a block's scale is near the best that an exhaustive search finds") {
    std::size_t compared = 0;
    builtin_formats::for_each([&]<class F>(format_tag<F>) {
        if constexpr (has_one_half<F>) {
            CAPTURE(F::name);
            ++compared;
            const type_layout& format = *builtin_formats::find(F::type);
            std::vector<float> levels;
            for (float x = F::codebook::low; x <= F::codebook::high; x += 1.0f) {
                const float level = F::codebook::level(F::codebook::code(x));
                if (levels.empty() || levels.back() != level) levels.push_back(level);
            }
            const auto x = gaussian(format.block_size * 4, 3);
            double ours = 0, best = 0;
            for (std::size_t b = 0; b < 4; ++b) {
                const std::span<const float> block(x.data() + b * format.block_size, format.block_size);
                ours += squared_error(codec::encode_decode(format, weighted{}, block), block);
                const auto error_with = [&](float scale) {
                    double sum = 0;
                    for (const float value : block) {
                        float least = infinity;
                        for (const float level : levels)
                            least = std::min(least, (value - scale * level) * (value - scale * level));
                        sum += double{least};
                    }
                    return sum;
                };
                float extreme = 0;
                for (const float value : block) extreme = std::max(extreme, std::abs(value));
                const float usual = extreme / std::max(-levels.front(), levels.back());
                double least = double{infinity};
                for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
                    half scale;
                    scale.bits = static_cast<std::uint16_t>(bits);
                    const float magnitude = std::abs(static_cast<float>(scale));
                    if (magnitude > 0.25f * usual && magnitude < 1.25f * usual)
                        least = std::min(least, error_with(static_cast<float>(scale)));
                }
                best += least;
            }
            CAPTURE(ours / best);
            CHECK(ours >= best * (1 - 1e-5));
            CHECK(ours <= best * 1.05);
        }
    });
    CHECK(compared >= 5);
}

TEST_CASE("blocks do not influence each other, wherever they lie and whatever their neighbours are") {
    for_each_quantizing_format([](const type_layout& format) {
        for_each_encoder([&](const auto& encoder) {
            constexpr std::size_t count = 11;
            const std::size_t n = format.block_size;
            auto x = gaussian(n * count, 4);
            const auto importance = log_normal(n * count, 1.0f, 5);
            const auto encoded = [&](std::size_t first, std::size_t blocks) {
                return codec::encode(format, encoder, std::span<const float>(x).subspan(first * n, blocks * n),
                                     std::span<const float>(importance).subspan(first * n, blocks * n));
            };
            const auto together = encoded(0, count);
            CHECK(encoded(0, count) == together);
            const auto same_as_together = [&](const std::vector<std::byte>& bytes, std::size_t from, std::size_t b) {
                const auto begin = bytes.begin() + static_cast<std::ptrdiff_t>(from * format.block_bytes);
                return std::equal(begin, begin + format.block_bytes,
                                  together.begin() + static_cast<std::ptrdiff_t>(b * format.block_bytes));
            };
            for (std::size_t b = 0; b < count; ++b) REQUIRE(same_as_together(encoded(b, 1), 0, b));
            for (const float hostile : {not_a_number, infinity, largest, 0.0f}) {
                for (std::size_t i = 0; i < x.size(); ++i)
                    if (i / n % 2 == 1) x[i] = hostile;
                const auto among_hostile = encoded(0, count);
                for (std::size_t b = 0; b < count; b += 2) REQUIRE(same_as_together(among_hostile, b, b));
            }
        });
    });
}

TEST_CASE("rows and importances of every kind leave numbers that are finite") {
    const auto hard = hard_rows(), broken = broken_rows();
    for_each_quantizing_format([&](const type_layout& format) {
        const auto stays_finite = [&](const auto& encoder) {
            return [&](const auto& row, const auto& importance) {
                return unusable_values(format, encoder, row, importance) == 0;
            };
        };
        CHECK(failures(hard, {{"none", {}}}, stays_finite(nearest{})) == "");
        CHECK(failures(broken, {{"none", {}}}, stays_finite(nearest{})) == "");
        CHECK(failures(hard, broken_importances(), stays_finite(weighted{})) == "");
        CHECK(failures(broken, hard_importances(), stays_finite(weighted{})) == "");
    });
}

TEST_CASE("zeros stay zeros") {
    for_each_quantizing_format([](const type_layout& format) {
        for_each_encoder([&](const auto& encoder) {
            for (const float zero : {0.0f, -0.0f})
                for (const float value : codec::encode_decode(format, encoder, std::vector<float>(512, zero)))
                    REQUIRE(value == 0.0f);
        });
    });
}

TEST_CASE("weights that lie on a format's grid come back as they were, whatever the importances") {
    builtin_formats::for_each([]<class F>(format_tag<F>) {
        if constexpr (scaled_format<F>) {
            CAPTURE(F::name);
            const type_layout& format = *builtin_formats::find(F::type);
            for (std::uint32_t seed = 0; seed < 40; ++seed) {
                std::vector<float> x = gaussian(1024, seed);
                if (seed % 2 == 1)  // offsets large beside the range of a sub-block, and sub-blocks of few levels
                    for (std::size_t i = 0; i < x.size(); ++i)
                        x[i] = 0.1f * (x[i] > 0.8f ? x[i] : 0.0f) + (i / 16 % 3 == 0 ? -1.0f : 0.0f);
                const auto importance = log_normal(x.size(), 1.0f, seed + 100);
                const auto on_grid = codec::encode_decode(format, weighted{}, x, importance);
                CHECK(codec::encode_decode(format, weighted{}, on_grid, log_normal(x.size(), 1.0f, seed + 200)) ==
                      on_grid);
            }
        }
    });
}

TEST_CASE("weighted is never worse than storing zeros, however hard the row and the importances") {
    const auto rows = hard_rows(), importances = hard_importances();
    for_each_quantizing_format([&](const type_layout& format) {
        CHECK(failures(rows, importances, [&](const auto& row, const auto& importance) {
                  const auto decoded = codec::encode_decode(format, weighted{}, row, importance);
                  const double zeros = energy(row, importance), steps = energy(constant(0x1p-22f), importance);
                  return squared_error(decoded, row, importance) <= 1.0001 * zeros + steps;  // of the smallest half
              }) == "");
    });
}

TEST_CASE("weighted is not worse than nearest on hard rows, but for what scales can express") {
    const auto rows = hard_rows();
    for_each_quantizing_format([&](const type_layout& format) {
        CHECK(failures(rows, {{"none", {}}}, [&](const auto& row, const auto&) {
                  const double searched = squared_error(codec::encode_decode(format, weighted{}, row), row);
                  const double plain = squared_error(codec::encode_decode(format, nearest{}, row), row);
                  return searched <= 1.01 * plain + std::pow(scale_precision(format), 2) * energy(row);
              }) == "");
    });
}

TEST_CASE("importances: only their ratios count, what is negative or no number counts as zero, all zeros as none") {
    constexpr std::size_t columns = 2048;
    const auto x = gaussian(columns, 6);
    for_each_quantizing_format([&](const type_layout& format) {
        const auto encoded = [&](std::span<const float> importance) {
            return codec::encode(format, weighted{}, x, importance);
        };
        const auto importance = log_normal(columns, 1.5f, 7);
        CHECK(encoded(importance) != encoded({}));
        CHECK(encoded(scaled(importance, 0x1p20f)) == encoded(importance));
        CHECK(encoded(scaled(importance, 0x1p-20f)) == encoded(importance));
        CHECK(encoded(std::vector<float>(columns, 0.0f)) == encoded({}));
        CHECK(encoded(std::vector<float>(columns, -1.0f)) == encoded({}));
        CHECK(encoded(std::vector<float>(columns, not_a_number)) == encoded({}));
        auto with_zeros = importance, with_negative = importance, with_nan = importance;
        for (std::size_t i = 0; i < columns; i += 5) {
            with_zeros[i] = 0.0f;
            with_negative[i] = -2.0f;
            with_nan[i] = not_a_number;
        }
        CHECK(encoded(with_negative) == encoded(with_zeros));
        CHECK(encoded(with_nan) == encoded(with_zeros));
    });
}

TEST_CASE("constants and the one weight that matters come back within the precision of a scale") {
    const auto x = scaled(gaussian(n, 8), 16.0f);
    const auto one = with(constant(0.0f), 100, 1.0f);
    for_each_quantizing_format([&](const type_layout& format) {
        // Where scales are powers of two, levels are all there is: up to a fifth away (5 between 4 and 6).
        const double tolerance = format.id == type_id::mxfp4 ? 0.2001 : 0.01 + scale_precision(format);
        for (const float wanted : {0.5f, -3.0f, 0.137f}) {
            CAPTURE(wanted);
            double worst = 0;
            for (const float value : codec::encode_decode(format, weighted{}, constant(wanted)))
                worst = std::max(worst, std::abs(double{value} / double{wanted} - 1));
            CHECK(worst <= tolerance);
        }
        const float decoded = codec::encode_decode(format, weighted{}, x, one)[100];
        CHECK(std::abs(double{decoded} / double{x[100]} - 1) <= tolerance);
    });
}

TEST_CASE("a power of two as a factor passes through") {
    // 16 times larger weights: every scale 16 times larger, every code the same.
    for_each_quantizing_format([](const type_layout& format) {
        for_each_encoder([&](const auto& encoder) {
            const auto x = scaled(gaussian(2048, 9), 64.0f);
            const auto importance = log_normal(2048, 1.0f, 10);
            CHECK(codec::encode_decode(format, encoder, scaled(x, 16.0f), importance) ==
                  scaled(codec::encode_decode(format, encoder, x, importance), 16.0f));
        });
    });
}
