// Formats of one's own: hand-written ones are searched, too, and parts may be as many as one likes.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

#include "support/own_formats.hpp"
#include "support/random.hpp"
#include "tessera/encode/encoders.hpp"
#include "tessera/format/combination.hpp"
#include "tessera/testing/encoders.hpp"

using namespace tessera;
using support::gaussian;

namespace {

template <block_format F, class Encoder>
std::vector<float> encode_decode(const Encoder& encoder, std::span<const float> x, std::span<const float> importance) {
    std::vector<typename F::block> packed(x.size() / F::block_size);
    encode_rows<F>(encoder, {x, x.size()}, {.importance = importance}, std::span(packed));
    std::vector<float> decoded(x.size());
    decode_blocks<F>(packed, decoded);
    return decoded;
}

double error_under(std::span<const float> x, std::span<const float> decoded, std::span<const float> importance) {
    double sum = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
        const double error = double{x[i]} - double{decoded[i]};
        sum += (importance.empty() ? 1.0 : double{importance[i]}) * error * error;
    }
    return sum;
}

std::vector<float> log_normal(std::size_t count, std::uint32_t seed) {
    std::mt19937 random(seed);
    std::lognormal_distribution<float> distribution(0.0f, 1.5f);
    std::vector<float> values(count);
    for (float& value : values) value = distribution(random);
    return values;
}

using hand_written = format_list<support::own_nibbles, support::own_pairs>;

template <unsigned Bits, std::size_t BlockSize, class Scales, class Codebook, std::uint32_t Number>
struct odd_layout : combination<Bits, BlockSize, Scales, Codebook> {
    static constexpr std::array<char, 3> letters{'n', static_cast<char>('a' + Number), 0};
    static constexpr std::string_view name{letters.data()};
    static constexpr type_id type = support::own_id(Number);
};
template <unsigned Bits, std::size_t BlockSize, class Scales, class Codebook, std::uint32_t Number>
using odd_format = scalar_format<odd_layout<Bits, BlockSize, Scales, Codebook, Number>>;

// Parts that fill no register, in blocks of no power of two.
using odd_formats =
    format_list<odd_format<4, 48, scale<half, 3>, symmetric<4>, 1>, odd_format<3, 96, scale<ue4m3, 6>, symmetric<3>, 2>,
                odd_format<4, 80, scale_and_min_in_two_levels<half, 5>, non_negative<4>, 3>,
                odd_format<2, 240, scale_and_offset<bfloat16, 15>, non_negative<2>, 4>,
                odd_format<5, 288, scale_in_two_levels<half, 18>, symmetric<5>, 5>>;

/// An encoder that encodes otherwise each time.
struct moody : nearest {
    template <block_format F>
    void operator()(format_tag<F> format, matrix_view rows, const matrix_knowledge& known,
                    std::span<typename F::block> out) const {
        nearest::operator()(format, rows, known, out);
        out[0].codes[0] = static_cast<std::uint8_t>(++*calls);
    }
    int* calls = nullptr;
};

}  // namespace

TEST_CASE("weighted searches hand-written formats of two stages") {
    hand_written::for_each([]<class F>(format_tag<F>) {
        CAPTURE(F::name);
        const auto x = gaussian(F::block_size * 200, 1), importance = log_normal(x.size(), 2);
        const auto plain = encode_decode<F>(nearest{}, x, {});
        const auto searched = encode_decode<F>(weighted{}, x, {}),
                   with_importance = encode_decode<F>(weighted{}, x, importance);
        CHECK(error_under(x, searched, {}) < 0.97 * error_under(x, plain, {}));
        CHECK(error_under(x, searched, {}) > 0.3 * error_under(x, plain, {}));
        CHECK(error_under(x, with_importance, importance) < 0.97 * error_under(x, searched, importance));
        for (std::size_t b = 0; b < x.size(); b += F::block_size) {  // in no block worse
            const auto of = [b](std::span<const float> all) { return all.subspan(b, F::block_size); };
            CHECK(error_under(of(x), of(searched), {}) <= error_under(of(x), of(plain), {}));
        }
    });
}

TEST_CASE("hand-written formats: what fits exactly stays, and hostile weights do no harm") {
    const auto on_grid = encode_decode<support::own_nibbles>(nearest{}, gaussian(640, 3), {});
    CHECK(encode_decode<support::own_nibbles>(weighted{}, on_grid, log_normal(on_grid.size(), 4)) == on_grid);
    hand_written::for_each([]<class F>(format_tag<F>) {
        CAPTURE(F::name);
        for (const float special : {0.0f, 1e-42f, 1e30f, std::numeric_limits<float>::max()}) {
            std::vector<float> x(F::block_size, special);
            x[3] = -special;
            for (const float value : encode_decode<F>(weighted{}, x, {})) CHECK(std::isfinite(value));
            if (special == 0.0f) CHECK(encode_decode<F>(weighted{}, x, {}) == x);
        }
        std::vector<float> x(F::block_size, 1.0f);
        x[0] = std::numeric_limits<float>::quiet_NaN();
        x[1] = std::numeric_limits<float>::infinity();
        (void)encode_decode<F>(weighted{}, x, std::vector<float>(x.size(), x[0]));  // any result, nothing undefined
        // Importances of nothing count as none.
        const auto usual = gaussian(F::block_size, 5);
        CHECK(encode_decode<F>(weighted{}, usual, std::vector<float>(usual.size(), -1.0f)) ==
              encode_decode<F>(weighted{}, usual, {}));
    });
}

TEST_CASE("a block may have any number of parts of 16 weights") {
    odd_formats::for_each([]<class F>(format_tag<F>) {
        CAPTURE(F::block_size);
        const auto x = gaussian(F::block_size * 37, 6), importance = log_normal(x.size(), 7);
        const double plain = error_under(x, encode_decode<F>(nearest{}, x, {}), importance);
        const auto searched = encode_decode<F>(weighted{}, x, importance);
        CHECK(error_under(x, searched, importance) < 0.9 * plain);
        CHECK(error_under(x, searched, importance) > 0.2 * plain);
        // Blocks do not see each other, whichever of them share a register.
        const std::size_t b = 17 * F::block_size;
        const auto alone = encode_decode<F>(weighted{}, std::span(x).subspan(b, F::block_size),
                                            std::span(importance).subspan(b, F::block_size));
        CHECK(std::equal(alone.begin(), alone.end(), searched.begin() + static_cast<std::ptrdiff_t>(b)));
        // What lies on the grid stays.
        CHECK(encode_decode<F>(weighted{}, searched, {}) == searched);
    });
}

TEST_CASE("three parts with scales of their own are three blocks of one part") {
    using three = odd_format<4, 48, scale<half, 3>, symmetric<4>, 1>;
    using one = odd_format<4, 16, scale<half, 1>, symmetric<4>, 2>;
    const auto x = gaussian(48 * 50, 8);
    CHECK(encode_decode<three>(weighted{}, x, {}) == encode_decode<one>(weighted{}, x, {}));
}

TEST_CASE("encoders keep on all of these what testing/encoders.hpp asks of every encoder") {
    for (const std::string& failure : testing::check_encoder<hand_written>(nearest{})) FAIL_CHECK(failure);
    for (const std::string& failure : testing::check_encoder<hand_written>(weighted{})) FAIL_CHECK(failure);
    for (const std::string& failure : testing::check_encoder<odd_formats>(weighted{}, 48 * 60)) FAIL_CHECK(failure);

    int calls = 0;
    moody encoder;
    encoder.calls = &calls;
    CHECK(testing::check_encoder<format_list<support::own_nibbles>>(encoder).size() >= 2);
}
