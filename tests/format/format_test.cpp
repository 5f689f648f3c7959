// Typed over the registry: every format in the list is tested.
#include <bit>
#include <cctype>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "format/codec.hpp"
#include "format/scalar_decoder.hpp"
#include "support/own_formats.hpp"
#include "support/random.hpp"
#include "support/support.hpp"
#include "tessera/format.hpp"
#include "tessera/testing/formats.hpp"

using namespace tessera;
using codec::for_each_format;
using codec::for_each_quantizing_format;

namespace {

/// The encoder that every format brings along.
struct reference {
    template <block_format F>
    void operator()(format_tag<F>, matrix_view rows, const matrix_knowledge&, std::span<typename F::block> out) const {
        const std::span<const float> row = rows.values();
        for (std::size_t b = 0; b < out.size(); ++b)
            F::encode(row.subspan(b * F::block_size).template first<F::block_size>(), out[b]);
    }
};

std::vector<std::byte> random_blocks(const type_layout& format, std::size_t count, std::uint32_t seed) {
    std::mt19937 random(seed);
    std::vector<std::byte> bytes(count * format.block_bytes);
    for (auto& byte : bytes) byte = static_cast<std::byte>(random());
    if (format.id == type_id::mxfp4)
        for (std::size_t b = 0; b < count; ++b)
            if (std::byte& exponent = bytes[b * format.block_bytes]; exponent == std::byte{255}) exponent = std::byte{};
    return bytes;  // 255 is no exponent: validation rejects it
}

// Bit by bit; one NaN is as good as another.
bool same_float(float a, float b) {
    return std::bit_cast<std::uint32_t>(a) == std::bit_cast<std::uint32_t>(b) || (std::isnan(a) && std::isnan(b));
}

std::size_t differences(const std::vector<float>& a, const std::vector<float>& b) {
    REQUIRE(a.size() == b.size());
    std::size_t count = 0;
    for (std::size_t i = 0; i < a.size(); ++i) count += same_float(a[i], b[i]) ? 0 : 1;
    return count;
}

/// What the codes of a block say about weight i.
template <two_stage_format F>
float value_of(const typename F::scales& scales, const typename F::code_array& codes, std::size_t i) {
    if constexpr (F::group == 1)
        return F::value(scales, i, codes[i]);
    else
        return F::value(scales, i / F::group * F::group, codes[i / F::group])[i % F::group];
}

// Each of these breaks something.
struct half_decoded : support::own_nibbles {
    static void decode(const block& in, std::span<float, 32> x) noexcept {
        const float before = x[7];
        own_nibbles::decode(in, x);
        x[7] = before;
    }
};
struct rounded_down : support::own_nibbles {
    static std::int8_t round(const scales& s, std::size_t i, float x) noexcept {
        return static_cast<std::int8_t>(std::max(-7, own_nibbles::round(s, i, x) - 1));
    }
};
struct other_store : support::own_nibbles {
    static void store(const scales& s, const code_array& codes, block& out) noexcept {
        own_nibbles::store(s, codes, out);
        out.codes[3] ^= 1;
    }
};
struct coarse : support::own_nibbles {
    static constexpr std::string_view name = "coarse, really";
    static void encode(std::span<const float, 32>, block& out) noexcept { out = {half(1.0f), {}}; }
};
struct impostor : support::own_nibbles {
    static constexpr type_id type = type_id::q4_0;
};
struct leaky_store : support::own_nibbles {
    static void load(const block& in, scales& s, code_array& codes) noexcept {
        s.scale = in.scale;
        for (std::size_t i = 0; i < 32; ++i)
            codes[i] = static_cast<std::int8_t>((in.codes[i / 2] >> (i % 2 * 4) & 15) - 8);
    }
    static void store(const scales& s, const code_array& codes, block& out) noexcept {
        const std::uint8_t before = out.codes[0];
        own_nibbles::store(s, codes, out);
        out.codes[0] = before;
    }
};

bool holds_integers(type_id id) {
    return id == type_id::i8 || id == type_id::i16 || id == type_id::i32 || id == type_id::i64;
}

}  // namespace

TEST_CASE("registry: layouts agree with the container's type list, ids and names are found") {
    codec::formats::for_each([]<class F>(format_tag<F>) {
        CAPTURE(F::name);
        const type_layout* known = find_type(F::type);
        REQUIRE(known != nullptr);
        CHECK(known->name == F::name);
        CHECK(known->block_size == F::block_size);
        CHECK(known->block_bytes == sizeof(typename F::block));
        CHECK(bits_per_weight<F> == doctest::Approx(codec::bits_per_weight(*known)));
        CHECK(codec::formats::dispatch(F::type, []<class G>(format_tag<G>) { return G::name; }) == F::name);
    });
    for_each_format([](const type_layout& format) {
        std::string lower(format.name);
        for (char& c : lower) c = static_cast<char>(std::tolower(c));
        REQUIRE(codec::formats::find(lower) != nullptr);
        CHECK(codec::formats::find(lower)->id == format.id);
    });
    CHECK(builtin_formats::find("Q4_KX") == nullptr);
    CHECK_THROWS_AS((void)builtin_formats::dispatch(type_id::i8, []<class F>(format_tag<F>) { return 0; }), error);
}

TEST_CASE("decode is bit-exact with the golden vectors") {
    for_each_quantizing_format([](const type_layout& format) {
        std::string stem = "golden/decode/";
        for (const char c : format.name) stem += static_cast<char>(std::tolower(c));
        const auto blocks = support::shared(stem + ".blocks");
        if (!blocks) return;
        const auto decoded = codec::decode(format, support::read_values<std::byte>(*blocks));
        REQUIRE(!decoded.empty());
        CHECK(differences(decoded, support::read_values<float>(*support::shared(stem + ".f32"))) == 0);
    });
}

TEST_CASE("decode agrees with an independent scalar decoder on random bytes") {
    for_each_format([](const type_layout& format) {
        const auto bytes = random_blocks(format, 65536 / format.block_size + 256, 7);
        const auto decoded = codec::decode(format, bytes);
        std::vector<float> wanted(decoded.size());
        const auto* blocks = reinterpret_cast<const std::uint8_t*>(bytes.data());
        for (std::size_t i = 0; i < wanted.size(); ++i)
            wanted[i] = scalar_decoder::weight(format.id, blocks + i / format.block_size * format.block_bytes,
                                               i % format.block_size);
        CHECK(differences(decoded, wanted) == 0);
    });
}

TEST_CASE("the formats keep what testing/formats.hpp asks of every format") {
    for (const std::string& failure : testing::check_formats<codec::formats>()) FAIL_CHECK(failure);
}

TEST_CASE("packing is the inverse of unpacking: scales and codes of random blocks are stored back byte for byte") {
    builtin_formats::for_each([]<class F>(format_tag<F>) {
        if constexpr (two_stage_format<F>) {
            CAPTURE(F::name);
            const auto bytes = random_blocks(*find_type(F::type), 200, 3);
            std::vector<typename F::block> blocks(200);
            std::memcpy(blocks.data(), bytes.data(), bytes.size());
            std::size_t wrong_bytes = 0, wrong_values = 0;
            for (typename F::block block : blocks) {
                typename F::code_array codes;
                typename F::scales scales;
                F::load(block, scales, codes);
                // 243 of the 256 bytes are what five ternary digits make; after one round trip all are.
                if (F::type == type_id::tq1_0) F::store(scales, codes, block);
                typename F::block again;
                std::memset(&again, 0xa5, sizeof again);
                F::store(scales, codes, again);
                wrong_bytes += std::memcmp(&again, &block, sizeof block) == 0 ? 0 : 1;
                std::vector<float> decoded(F::block_size);
                F::decode(block, std::span<float, F::block_size>(decoded));
                for (std::size_t i = 0; i < F::block_size; ++i)
                    wrong_values += same_float(value_of<F>(scales, codes, i), decoded[i]) ? 0 : 1;
            }
            CHECK(wrong_bytes == 0);
            CHECK(wrong_values == 0);
        }
    });
}

TEST_CASE("plain types: what they can hold comes back, the rest is rounded and never undefined") {
    for_each_format([](const type_layout& format) {
        if (format.block_size > 1) return;
        const std::vector<float> small{0.0f, 1.0f, -1.0f, 17.0f, -100.0f, 127.0f, -128.0f};
        CHECK(codec::encode_decode(format, reference{}, small) == small);
        const auto x = support::gaussian(4096, 5);
        const auto decoded = codec::encode_decode(format, reference{}, x);
        const double relative = std::sqrt(codec::squared_error(decoded, x) / codec::energy(x));
        if (holds_integers(format.id))
            CHECK(codec::energy(decoded) == 0.0);  // all below one half
        else if (format.block_bytes >= 4)
            CHECK(decoded == x);
        else
            CHECK((relative > 0x1p-14 && relative <= 0x1p-8));
        constexpr float infinity = std::numeric_limits<float>::infinity();
        const std::vector<float> hostile{infinity, -infinity, std::nanf(""), 1e30f, -1e30f, 1e-42f};
        for (const float value : codec::encode_decode(format, reference{}, hostile))
            CHECK((std::isfinite(value) || !holds_integers(format.id)));
    });
}

TEST_CASE("what a format does not keep is found") {
    const auto has = [](const std::vector<std::string>& failures, std::string_view what) {
        return std::ranges::any_of(failures, [&](const std::string& f) { return f.find(what) != std::string::npos; });
    };
    CHECK(testing::check_format<support::own_nibbles>().empty());
    CHECK(testing::check_format<support::own_pairs>({.drift = 1.0}).empty());
    CHECK(has(testing::check_format<half_decoded>(), "decode writes all weights"));
    CHECK(has(testing::check_format<rounded_down>(), "`round` brings"));
    CHECK(has(testing::check_format<other_store>(), "decode gives what `value` says"));
    CHECK(has(testing::check_format<coarse>(), "not far above"));
    CHECK(has(testing::check_format<coarse>(), "zeros stay"));
    CHECK(has(testing::check_formats<format_list<coarse>>(), "a name has letters"));
    CHECK(has(testing::check_formats<format_list<impostor>>(), "an id of GGUF's means"));
    CHECK(has(testing::check_format<leaky_store>(), "`store` writes every bit"));
}
