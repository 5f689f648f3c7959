#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

#include "support/support.hpp"
#include "tessera/core/byte_count.hpp"
#include "tessera/core/checked.hpp"
#include "tessera/core/duration.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/function_ref.hpp"
#include "tessera/core/half.hpp"
#include "tessera/core/mapped_file.hpp"
#include "tessera/core/metadata.hpp"
#include "tessera/core/parallel.hpp"
#include "tessera/core/printable.hpp"
#include "tessera/core/tensor_index.hpp"
#include "tessera/core/tensor_info.hpp"
#include "tessera/core/utf8.hpp"
#include "tessera/core/view.hpp"
#include "tessera/format/builtin.hpp"

using namespace tessera;

namespace {

// The nearest half by search over all of them, ties to the even one: slow, obvious, independent.
std::uint16_t nearest_half_by_search(float x) {
    if (std::isinf(x)) return x > 0 ? 0x7c00 : 0xfc00;
    std::uint16_t best = 0;
    double best_distance = std::numeric_limits<double>::infinity();
    for (std::uint32_t bits = 0; bits < 0x7c01; ++bits) {
        // What comes after the largest finite half, were the exponent unlimited, stands for infinity.
        const double value = bits == 0x7c00 ? 65536.0
                             : bits < 0x400 ? std::ldexp(bits, -24)
                                            : std::ldexp(1024 + (bits & 1023), static_cast<int>(bits >> 10) - 25);
        const double distance = std::abs(value - std::abs(double{x}));
        if (distance < best_distance || (distance == best_distance && (bits & 1) == 0)) {
            best = static_cast<std::uint16_t>(bits);
            best_distance = distance;
        }
    }
    return static_cast<std::uint16_t>(best | (std::signbit(x) ? 0x8000 : 0));
}

}  // namespace

TEST_CASE("half: every value comes back from float as it was") {
    for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
        half h;
        h.bits = static_cast<std::uint16_t>(bits);
        const auto x = static_cast<float>(h);
        if ((bits & 0x7fff) > 0x7c00) {
            CHECK(std::isnan(x));
            CHECK(std::isnan(static_cast<float>(half(x))));
        } else {
            REQUIRE(half(x).bits == bits);
            const auto magnitude = bits & 0x7fff;
            const double exact = magnitude == 0x7c00 ? std::numeric_limits<double>::infinity()
                                 : magnitude < 0x400
                                     ? std::ldexp(magnitude, -24)
                                     : std::ldexp(1024 + (magnitude & 1023), static_cast<int>(magnitude >> 10) - 25);
            REQUIRE(std::abs(double{x}) == exact);
        }
    }
}

TEST_CASE("half: conversion rounds to nearest even, as a search over all halves does") {
    std::vector<float> inputs{0.0f,     -0.0f,    1e-8f,    2.98023224e-8f, 2.9802326e-8f, 5.96e-8f, 6.1e-5f,
                              0.1f,     -0.3f,    1.0f,     2047.5f,        2048.5f,       2049.0f,  2051.0f,
                              65504.0f, 65519.9f, 65520.0f, 1e30f,          -1e30f};
    std::uint32_t state = 1;
    for (int i = 0; i < 60; ++i) {
        state = state * 1664525u + 1013904223u;
        inputs.push_back(std::bit_cast<float>(0x32000000u + state % 0x16000000u));
    }
    for (const float x : inputs) CHECK_MESSAGE(half(x).bits == nearest_half_by_search(x), x);
}

TEST_CASE("bfloat16 rounds to nearest even and keeps NaN") {
    CHECK(bfloat16(1.0f).bits == 0x3f80);
    CHECK(bfloat16(std::bit_cast<float>(0x3f808000u)).bits == 0x3f80);  // tie, down to even
    CHECK(bfloat16(std::bit_cast<float>(0x3f818000u)).bits == 0x3f82);  // tie, up to even
    CHECK(bfloat16(std::bit_cast<float>(0x3f808001u)).bits == 0x3f81);
    CHECK(std::isnan(static_cast<float>(bfloat16(std::bit_cast<float>(0x7f800001u)))));
    CHECK(std::isinf(static_cast<float>(bfloat16(std::numeric_limits<float>::max()))));
}

TEST_CASE("checked arithmetic never wraps") {
    constexpr auto max = std::numeric_limits<std::uint64_t>::max();
    CHECK(checked_add(max, 0) == max);
    CHECK_FALSE(checked_add(max, 1));
    CHECK(checked_multiply(max, 1) == max);
    CHECK_FALSE(checked_multiply(std::uint64_t{1} << 40, std::uint64_t{1} << 40));
    CHECK(checked_align(33, 32) == 64);
    CHECK(checked_align(64, 32) == 64);
    CHECK_FALSE(checked_align(max - 3, 32));
}

TEST_CASE("tensor_info: sizes, soundness, change of layout") {
    tensor_info info{.name = "t", .dims = {512, 3, 2, 1}, .rank = 3, .layout = *find_type(type_id::q4_k)};
    CHECK(info.rows() == 6);
    CHECK(info.row_bytes() == 288);
    CHECK(info.bytes() == 1728);
    CHECK(info.effective_rank() == 3);
    CHECK(has_sound_shape(info));
    info.dims = {std::uint64_t{1} << 40, std::uint64_t{1} << 40, 1, 1};
    CHECK_FALSE(has_sound_shape(info));
    info.dims = {100, 1, 1, 1};
    CHECK_FALSE(has_sound_shape(info));
    info.layout = *find_type(type_id::f32);
    const auto message = support::message_of<error>([&] { (void)with_layout(info, *find_type(type_id::q4_k)); });
    CHECK(message == "tensor t: rows of 100 weights are no multiple of Q4_K's block of 256");
}

TEST_CASE("tensor_index finds names and refuses duplicates") {
    const std::vector<tensor_info> tensors{{.name = "a"}, {.name = "b"}};
    const tensor_index index(tensors, "here");
    CHECK(index.find("b") == 1);
    CHECK(index.find("c") == tensor_index::npos);
    const std::vector<tensor_info> twins{{.name = "a"}, {.name = "a"}};
    CHECK_THROWS_WITH_AS(tensor_index(twins, "here"), "here: tensor a: wanted unique names, got this one twice", error);
}

TEST_CASE("messages write numbers as streams do, and bytes as numbers") {
    const auto streamed = [](const auto&... parts) {
        std::ostringstream out;
        (out << ... << parts);
        return out.str();
    };
    const std::string text = "text";
    CHECK(concat() == "");
    CHECK(concat(text, ": ", std::string_view("view"), '/', 7, "|", -8L, ", ", std::size_t{9}, true) ==
          streamed(text, ": ", std::string_view("view"), '/', 7, "|", -8L, ", ", std::size_t{9}, true));
    CHECK(concat(std::numeric_limits<std::uint64_t>::max(), std::numeric_limits<std::int64_t>::min()) ==
          "18446744073709551615-9223372036854775808");
    const double infinity = std::numeric_limits<double>::infinity();
    for (const double x : {0.0, -0.0, 1.0, 0.1, -1.0 / 3, 4.50355, 999999.5, 1e6, 123456.7, 1e-5, 1.5e-300, 1e300,
                           5e-324, infinity, -infinity, std::nan("")}) {
        CAPTURE(x);
        CHECK(concat(x) == streamed(x));
        CHECK(concat(static_cast<float>(x)) == streamed(static_cast<float>(x)));
    }
    CHECK(concat(std::uint8_t{65}, ' ', std::int8_t{-1}) == "65 -1");
}

TEST_CASE("metadata keeps order, types and unique keys") {
    metadata m;
    m.set("b", std::uint32_t{1});
    m.set("a", std::string("x"));
    m.set("b", std::int64_t{-2});
    REQUIRE(m.size() == 2);
    CHECK(m.begin()->first == "b");
    CHECK(*m.get<std::int64_t>("b") == -2);
    CHECK(m.get<std::int64_t>("missing") == nullptr);
    CHECK(m.get_or<std::string>("missing", "otherwise") == "otherwise");
    CHECK_THROWS_WITH_AS((void)m.get<float>("a"), "metadata key a: wanted float32, got string", error);
    CHECK_THROWS_WITH_AS((void)m.require<float>("missing"), "metadata key missing: wanted float32, got nothing", error);
    CHECK_THROWS_AS((void)m.get_count("b"), error);
    m.set("count", std::uint64_t{7});
    CHECK(m.get_count("count") == 7);
    CHECK_THROWS_AS((void)m.get_count("count", 6), error);
    m.erase("b");
    CHECK(m.find("b") == nullptr);
    CHECK(*m.get<std::string>("a") == "x");
    CHECK(type_name(std::vector<std::string>{}) == "array of string");
}

TEST_CASE("parallel_for visits every index once and passes the first exception on") {
    for (const int threads : {1, 2, 5}) {
        std::vector<int> visits(1000, 0);
        parallel_for(visits.size(), threads, [&](std::size_t i) { ++visits[i]; });
        CHECK(std::accumulate(visits.begin(), visits.end(), 0) == 1000);
        CHECK(std::set<int>(visits.begin(), visits.end()) == std::set<int>{1});
        CHECK_THROWS_WITH_AS(parallel_for(100, threads,
                                          [](std::size_t i) {
                                              if (i == 17) fail("at ", i);
                                          }),
                             "at 17", error);
    }
    parallel_for(0, 2, [](std::size_t) { FAIL("nothing to do"); });
}

TEST_CASE("function_ref refers to lambdas, functions and nothing") {
    int calls = 0;
    auto counter = [&](int n) {
        calls += n;
        return calls;
    };
    const function_ref<int(int)> ref = counter;
    CHECK(ref(2) == 2);
    CHECK(ref(3) == 5);
    CHECK(static_cast<bool>(ref));
    CHECK_FALSE(static_cast<bool>(function_ref<void()>{}));
}

TEST_CASE("mapped_file maps, releases and reports") {
    const support::scratch_dir dir;
    std::string content(100'000, 'x');
    content[50'000] = 'y';
    support::write_text(dir / "file", content);
    mapped_file file(dir / "file");
    CHECK(file.bytes().size() == content.size());
    file.release(0, content.size());
    CHECK(file.bytes()[50'000] == std::byte{'y'});
    mapped_file moved = std::move(file);
    CHECK(moved.bytes()[99'999] == std::byte{'x'});
    support::write_text(dir / "empty", "");
    CHECK(mapped_file(dir / "empty").bytes().empty());
    CHECK(support::message_of<error>([&] { mapped_file(dir / "none"); }).find("none: cannot open") !=
          std::string::npos);
    CHECK_THROWS_AS(mapped_file(dir.path()), error);
}

TEST_CASE("matrix_view gives rows") {
    const std::vector<float> values{1, 2, 3, 4, 5, 6};
    const matrix_view view(values, 3);
    CHECK(view.rows() == 2);
    CHECK(view.row(1)[0] == 4);
    CHECK(matrix_view{}.rows() == 0);
}

TEST_CASE("sizes are read as people write them") {
    CHECK(parse_byte_count("1632992") == 1632992);
    CHECK(parse_byte_count("0") == 0);
    CHECK(parse_byte_count("4200MB") == 4'200'000'000);
    CHECK(parse_byte_count("4.2GiB") == 4509715660);  // rounded down
    CHECK(parse_byte_count("4.35 gb") == 4'350'000'000);
    CHECK(parse_byte_count("1.5k") == 1500);
    CHECK(parse_byte_count("2Ki") == 2048);
    CHECK(parse_byte_count("1KB") == 1000);
    CHECK(parse_byte_count("1TiB") == std::uint64_t{1} << 40);
    CHECK(parse_byte_count("0.1T") == 100'000'000'000);
    CHECK(parse_byte_count("12B") == 12);
    CHECK(parse_byte_count("9007199254740991") == (std::uint64_t{1} << 53) - 1);
    for (const char* wrong :
         {"", "GB", "-1", "4.2 G i", "4,2GB", "1e9", "nan", "inf", "1XB", "1iB", "0x10", "9008T", "4.2GiBB", "1 2"}) {
        CAPTURE(wrong);
        CHECK_THROWS_AS((void)parse_byte_count(wrong), error);
    }
}

TEST_CASE("durations are read and written as people do") {
    CHECK(parse_duration("8h") == 28800);
    CHECK(parse_duration("1h30m") == 5400);
    CHECK(parse_duration("1.5h") == 5400);
    CHECK(parse_duration("2d") == 172800);
    CHECK(parse_duration("90s") == 90);
    CHECK(parse_duration("1m0.5s") == 60.5);
    for (const char* wrong : {"", "8", "h", "0h", "-1h", "30m1h", "1h1h", "8 h", "1e3s", "nan", "1hx"})
        CHECK_THROWS_WITH_AS((void)parse_duration(wrong), doctest::Contains("wanted a time such as 8h"), error);

    CHECK(duration_text(0) == "0:00");
    CHECK(duration_text(125) == "2:05");
    CHECK(duration_text(3600 * 50 + 61) == "50:01:01");
    CHECK(duration_text(-5) == "0:00");
    CHECK(duration_text(1e300) == "277777:46:40");
}

TEST_CASE("printable text holds what may be shown, and spells out the rest") {
    for (const char* same :
         {"", "plain text", "back\\slash", "\xc3\xa4\xe6\x96\x87\xf0\x9f\xa6\x99", "\xe2\x80\x8d joined"})
        CHECK(printable(same) == same);
    CHECK(printable(std::string_view("\0\x1b[2J\r\n\t\x7f", 9)) == "\\x00\\x1b[2J\\x0d\\x0a\\x09\\x7f");
    CHECK(printable("\xc2\x80\xc2\x9f\xc2\xa0") == "\\u{80}\\u{9f}\xc2\xa0");
    CHECK(printable("\xe2\x80\xae"
                    "cba\xe2\x81\xa9\xd8\x9c") == "\\u{202e}cba\\u{2069}\\u{061c}");
    CHECK(printable("\xe2\x80\xa8\xe2\x80\xa9\xf3\xa0\x81\x81") == "\\u{2028}\\u{2029}\\u{e0041}");
    CHECK(printable("a\xff\xc3(\xe2\x82\xed\xa0\x80\x9b") == "a\\xff\\xc3(\\xe2\\x82\\xed\\xa0\\x80\\x9b");
    CHECK(printable_lines("one\n\x1btwo\n\n") == "one\n\\x1btwo\n\n");

    // Every byte and every code point: what comes out is text, has no control, and comes out the same again.
    std::string all;
    for (char32_t c = 1; c < 0x110000; c += c < 0x3000 ? 1 : 0x35)
        if (c < 0xd800 || c > 0xdfff) append_code_point(all, c);
    for (int byte = 0; byte < 256; ++byte) all += {static_cast<char>(byte), ' '};
    const std::string shown = printable(all);
    CHECK(is_utf8(shown));
    CHECK(printable(shown) == shown);
    for (std::string_view rest = shown; !rest.empty(); rest.remove_prefix(utf8_length(rest[0])))
        if (is_control(code_point(rest))) FAIL("a control is left");

    CHECK(excerpt(std::string(80, 'x')) == std::string(80, 'x'));
    CHECK(excerpt(std::string(79, 'x') + "\xe6\x96\x87") == std::string(79, 'x') + "\xe6\x96\x87");
    CHECK(excerpt(std::string(1000, '\x1b')).size() == 83);
}
