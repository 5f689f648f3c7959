// Typed over the registry: a format in the list is tested the same minute.
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "format/scalar_decoder.hpp"
#include "support/random.hpp"
#include "support/support.hpp"
#include "tessera/format.hpp"

using namespace tessera;

namespace {

template <block_format F>
std::vector<typename F::block> random_blocks(std::size_t count, std::uint32_t seed) {
    std::mt19937 random(seed);
    std::vector<typename F::block> blocks(count);
    std::vector<std::uint8_t> bytes(count * sizeof(typename F::block));
    for (auto& byte : bytes) byte = static_cast<std::uint8_t>(random());
    std::memcpy(blocks.data(), bytes.data(), bytes.size());
    return blocks;
}

bool same_float(float a, float b) {
    return std::bit_cast<std::uint32_t>(a) == std::bit_cast<std::uint32_t>(b) || (std::isnan(a) && std::isnan(b));
}

template <block_format F>
std::vector<float> encode_decode(const std::vector<float>& x) {
    std::vector<typename F::block> blocks(x.size() / F::block_size);
    for (std::size_t b = 0; b < blocks.size(); ++b)
        F::encode(std::span<const float, F::block_size>(x.data() + b * F::block_size, F::block_size), blocks[b]);
    std::vector<float> decoded(x.size());
    decode_blocks<F>(blocks, decoded);
    return decoded;
}

template <class Check>
void for_each_format(Check check) {
    builtin_formats::for_each([&]<class F>(format_tag<F> format) {
        CAPTURE(F::name);
        check(format);
    });
}

}  // namespace

TEST_CASE("registry: layouts agree with the container's type list, ids and names are found") {
    for_each_format([]<class F>(format_tag<F>) {
        const type_layout* known = find_type(F::type);
        REQUIRE(known != nullptr);
        CHECK(known->name == F::name);
        CHECK(known->block_size == F::block_size);
        CHECK(known->block_bytes == sizeof(typename F::block));
        CHECK(bits_per_weight<F> == doctest::Approx(8.0 * known->block_bytes / known->block_size));
        std::string lower(F::name);
        for (char& c : lower) c = static_cast<char>(std::tolower(c));
        REQUIRE(builtin_formats::find(lower) != nullptr);
        CHECK(builtin_formats::find(lower)->id == F::type);
        CHECK(builtin_formats::dispatch(F::type, []<class G>(format_tag<G>) { return G::name; }) == F::name);
    });
    CHECK(builtin_formats::find("Q4_KX") == nullptr);
    CHECK_THROWS_AS((void)builtin_formats::dispatch(type_id::i8, []<class F>(format_tag<F>) { return 0; }), error);
}

TEST_CASE("decode is bit-exact with the golden vectors") {
    for_each_format([]<class F>(format_tag<F>) {
        if (F::block_size == 1) return;  // plain floats have no vectors; tested bit by bit in core
        std::string stem = "golden/decode/";
        for (const char c : F::name) stem += static_cast<char>(std::tolower(c));
        const auto blocks_file = support::shared(stem + ".blocks");
        if (!blocks_file) return;
        const auto blocks = support::read_values<typename F::block>(*blocks_file);
        const auto wanted = support::read_values<float>(*support::shared(stem + ".f32"));
        REQUIRE(blocks.size() * F::block_size == wanted.size());
        std::vector<float> decoded(wanted.size());
        decode_blocks<F>(blocks, decoded);
        std::size_t wrong = 0;
        for (std::size_t i = 0; i < wanted.size(); ++i) wrong += same_float(decoded[i], wanted[i]) ? 0 : 1;
        CHECK(wrong == 0);
    });
}

TEST_CASE("decode agrees with an independent scalar decoder on random bytes") {
    for_each_format([]<class F>(format_tag<F>) {
        const auto blocks = random_blocks<F>(300, 7);
        std::vector<float> decoded(blocks.size() * F::block_size);
        decode_blocks<F>(blocks, decoded);
        const auto* bytes = reinterpret_cast<const std::uint8_t*>(blocks.data());
        std::size_t wrong = 0;
        for (std::size_t i = 0; i < decoded.size(); ++i) {
            const float wanted = scalar_decoder::weight(F::type, bytes + i / F::block_size * sizeof(typename F::block),
                                                        i % F::block_size);
            wrong += same_float(decoded[i], wanted) ? 0 : 1;
        }
        CHECK(wrong == 0);
    });
}

TEST_CASE("decode by type id reads unaligned bytes") {
    for_each_format([]<class F>(format_tag<F>) {
        const auto blocks = random_blocks<F>(5000 / F::block_size + 3, 11);
        std::vector<float> wanted(blocks.size() * F::block_size), decoded(wanted.size());
        decode_blocks<F>(blocks, wanted);
        const byte_view bytes = std::as_bytes(std::span(blocks));
        std::vector<std::byte> shifted{std::byte{}};
        shifted.insert(shifted.end(), bytes.begin(), bytes.end());
        builtin_formats::decode(F::type, byte_view(shifted).subspan(1), decoded);
        CHECK(std::memcmp(decoded.data(), wanted.data(), wanted.size() * sizeof(float)) == 0);
    });
}

TEST_CASE("packing is the inverse of unpacking: scales and codes of random blocks are stored back byte for byte") {
    for_each_format([]<class F>(format_tag<F>) {
        if constexpr (two_stage_format<F>) {
            for (const auto& block : random_blocks<F>(200, 3)) {
                typename F::code_array codes;
                F::planes::unpack(block, codes);
                const typename F::scales scales = F::scaling::load(block);
                typename F::block again{};
                F::store(scales, codes, again);
                REQUIRE(std::memcmp(&again, &block, sizeof(block)) == 0);
                std::vector<float> decoded(F::block_size);
                F::decode(block, std::span<float, F::block_size>(decoded.data(), F::block_size));
                for (std::size_t i = 0; i < F::block_size; ++i)
                    REQUIRE(same_float(F::value(scales, i, codes[i]), decoded[i]));
            }
        }
    });
}

TEST_CASE("the reference encoder: error within two-sided bounds, fixed point, zeros, extremes") {
    for_each_format([]<class F>(format_tag<F>) {
        const std::vector<float> x = support::gaussian(256 * 64, 5);
        const auto decoded = encode_decode<F>(x);
        double error = 0, norm = 0;
        for (std::size_t i = 0; i < x.size(); ++i) {
            error += std::pow(double{decoded[i]} - double{x[i]}, 2);
            norm += double{x[i]} * double{x[i]};
        }
        const double relative = std::sqrt(error / norm);
        // A b-bit code over about +-3 sigma: steps of 6 / 2^b sigma, error step / sqrt(12). Half to twice of that is
        // sound.
        const double bits = F::block_size == 1 ? 0 : bits_per_weight<F>;
        if (F::block_size == 1) {
            CHECK(relative <= (sizeof(typename F::block) == 4 ? 0.0 : 0x1p-8));
        } else {
            const double expected = 6.0 / std::pow(2.0, bits - 0.5) / std::sqrt(12.0);
            CHECK(relative < 2.0 * expected);
            CHECK(relative > 0.4 * expected);
        }

        // Decoded values are representable: encoding them again moves nothing by more than a rounding of the scale.
        const auto again = encode_decode<F>(decoded);
        double drift = 0;
        for (std::size_t i = 0; i < x.size(); ++i) drift += std::pow(double{again[i]} - double{decoded[i]}, 2);
        CHECK(std::sqrt(drift / norm) <= 0.35 * relative + 1e-12);

        for (const float value : encode_decode<F>(std::vector<float>(256, 0.0f))) REQUIRE(value == 0.0f);
        for (const float special : {1e-42f, 1e-30f, 1e30f, std::numeric_limits<float>::max()}) {
            if (F::block_size == 1 && special > 60000.0f) continue;  // F16 says infinity, and quantize reports it
            std::vector<float> extreme(256, special);
            extreme[3] = -special;
            for (const float value : encode_decode<F>(extreme)) REQUIRE(std::isfinite(value));
        }
        std::vector<float> hostile(256, 1.0f);
        hostile[0] = std::numeric_limits<float>::quiet_NaN();
        hostile[1] = std::numeric_limits<float>::infinity();
        (void)encode_decode<F>(hostile);  // any result, no undefined behaviour
    });
}
