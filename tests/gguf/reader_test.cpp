// The reader on sound files, and the way back through the writer.
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cinttypes>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include <doctest/doctest.h>

#include "gguf/raw_gguf.hpp"
#include "support/support.hpp"
#include "tessera/gguf.hpp"

using namespace tessera;

namespace {

// Writes a source again with the library's writer; the bytes of the file.
template <class Source>
std::string written_again(const Source& source, const std::filesystem::path& path) {
    gguf::writer writer{path};
    writer.begin(source.tensors(), source.metadata());
    for (const tensor_info& info : source.tensors()) writer.write(info, 0, source.packed(info, 0, info.rows()));
    writer.finish();
    return support::read_text(path);
}

template <class T>
std::vector<T> interesting_values() {
    using limits = std::numeric_limits<T>;
    if constexpr (std::is_same_v<T, bool>)
        return {false, true, true};
    else if constexpr (std::is_same_v<T, std::string>)
        return {"", "text", std::string("\0\xff\n", 3), std::string(70000, 'x')};
    else
        return {T{}, T{1}, limits::lowest(), limits::max(), limits::min()};
}

// Four bytes a block of two weights, under a number that no stock reader knows.
struct pair_format {
    static constexpr std::string_view name = "pair";
    static constexpr type_id type{static_cast<std::uint32_t>(type_id::first_private) + 1};
    static constexpr std::size_t block_size = 2;
    struct block {
        std::array<std::int16_t, 2> codes;
    };
    static void encode(std::span<const float, 2> x, block& out) noexcept {
        for (std::size_t i = 0; i < 2; ++i) out.codes[i] = static_cast<std::int16_t>(x[i]);
    }
    static void decode(const block& in, std::span<float, 2> x) noexcept {
        for (std::size_t i = 0; i < 2; ++i) x[i] = in.codes[i];
    }
};

// What this process keeps in memory of the mapping that holds `address`, whatever else it keeps; nothing where the
// system does not tell.
std::optional<std::uint64_t> resident_bytes(const void* address) {
    const auto wanted = reinterpret_cast<std::uintptr_t>(address);
    std::ifstream in("/proc/self/smaps");
    bool is_inside = false;
    for (std::string line; std::getline(in, line);) {
        std::uint64_t first = 0, end = 0, kilobytes = 0;
        if (std::sscanf(line.c_str(), "%" SCNx64 "-%" SCNx64 " ", &first, &end) == 2)
            is_inside = first <= wanted && wanted < end;
        if (is_inside && std::sscanf(line.c_str(), "Rss: %" SCNu64 " kB", &kilobytes) == 1) return kilobytes * 1024;
    }
    return std::nullopt;
}

}  // namespace

TEST_CASE("reader: a file made by hand reads as it was made") {
    const support::scratch_dir dir;
    for (const std::uint32_t version : {2u, 3u})
        for (const std::uint32_t alignment : {1u, 8u, 32u, 64u, 4096u}) {
            CAPTURE(version);
            CAPTURE(alignment);
            const auto path = dir / "sample.gguf";
            support::write_text(path, support::sample_gguf(alignment, version).bytes());
            const gguf::reader model{path};

            CHECK(model.alignment() == alignment);
            CHECK(model.files() == std::vector{path});
            const tessera::metadata& m = model.metadata();
            CHECK(m.size() == 25);
            CHECK(m.begin()->first == "general.architecture");
            CHECK(m.require<std::string>("general.architecture") == "test");
            CHECK(m.require<std::uint8_t>("a.uint8") == 200);
            CHECK(m.require<std::int8_t>("a.int8") == -100);
            CHECK(m.require<std::uint16_t>("a.uint16") == 60000);
            CHECK(m.require<std::int16_t>("a.int16") == -30000);
            CHECK(m.require<std::uint32_t>("a.uint32") == 4000000000);
            CHECK(m.require<std::int32_t>("a.int32") == -2000000000);
            CHECK(m.require<float>("a.float32") == 1.5f);
            CHECK(m.require<bool>("a.bool"));
            CHECK(m.require<std::uint64_t>("a.uint64") == std::uint64_t{1} << 63);
            CHECK(m.require<std::int64_t>("a.int64") == std::int64_t{-1} << 62);
            CHECK(m.require<double>("a.float64") == -0.1);
            CHECK(m.require<std::vector<std::uint8_t>>("b.uint8") == std::vector<std::uint8_t>{1, 2, 255});
            CHECK(m.require<std::vector<std::int8_t>>("b.int8") == std::vector<std::int8_t>{-1, 0});
            CHECK(m.require<std::vector<std::uint16_t>>("b.uint16") == std::vector<std::uint16_t>{1, 65535});
            CHECK(m.require<std::vector<std::int16_t>>("b.int16") == std::vector<std::int16_t>{-32768});
            CHECK(m.require<std::vector<std::uint32_t>>("b.uint32") == std::vector<std::uint32_t>{7, 8});
            CHECK(m.require<std::vector<std::int32_t>>("b.int32") == std::vector<std::int32_t>{-7});
            CHECK(m.require<std::vector<float>>("b.float32") == std::vector{0.25f, -8.0f});
            CHECK(m.require<std::vector<bool>>("b.bool") == std::vector{true, false, true});
            CHECK(m.require<std::vector<std::string>>("b.string") ==
                  std::vector<std::string>{"one", "", "\xff\x01 not text"});
            CHECK(m.require<std::vector<std::uint64_t>>("b.uint64") ==
                  std::vector{std::uint64_t{1}, ~std::uint64_t{0}});
            CHECK(m.require<std::vector<std::int64_t>>("b.int64").empty());
            CHECK(m.require<std::vector<double>>("b.float64") == std::vector{2.5});

            REQUIRE(model.tensors().size() == 3);
            const tensor_info& other = model.tensors()[1];
            CHECK(model.find("other") == &other);
            CHECK(model.find("othe") == nullptr);
            CHECK(other.type() == type_id::q8_0);
            CHECK(other.rank == 2);
            CHECK(other.dims == std::array<std::uint64_t, 4>{64, 2, 1, 1});
            const byte_view second_row = model.packed(other, 1, 1);
            REQUIRE(second_row.size() == 68);
            CHECK(second_row.front() == std::byte{69});
            CHECK(second_row.back() == std::byte{136});
            CHECK(model.packed(*model.find("third"), 0, 1).back() == std::byte{10});
            CHECK(model.packed(other, 2, 0).empty());
        }
}

TEST_CASE("writer: makes the bytes that were made by hand") {
    const support::scratch_dir dir;
    const std::string by_hand = support::sample_gguf().bytes();
    support::write_text(dir / "by_hand.gguf", by_hand);
    const gguf::reader model{dir / "by_hand.gguf"};
    CHECK(written_again(model, dir / "again.gguf") == by_hand);
    CHECK(gguf::file_size(model.tensors(), model.metadata()) == by_hand.size());
}

TEST_CASE("writer: always aligns to 32, and says nothing else") {
    const support::scratch_dir dir;
    support::write_text(dir / "wide.gguf", support::sample_gguf(64).bytes());
    const gguf::reader wide{dir / "wide.gguf"};
    const std::string bytes = written_again(wide, dir / "again.gguf");
    CHECK(bytes.size() == gguf::file_size(wide.tensors(), wide.metadata()));
    const gguf::reader again{dir / "again.gguf"};
    CHECK(again.alignment() == 32);
    CHECK_FALSE(again.metadata().contains("general.alignment"));
    CHECK(again.metadata().size() == 24);
    const byte_view data = again.packed(again.tensors()[2], 0, 1);
    CHECK(std::memcmp(data.data(), wide.packed(wide.tensors()[2], 0, 1).data(), data.size()) == 0);
}

TEST_CASE_TEMPLATE("metadata: values come back with their type", T, std::uint8_t, std::int8_t, std::uint16_t,
                   std::int16_t, std::uint32_t, std::int32_t, float, bool, std::string, std::uint64_t, std::int64_t,
                   double) {
    tessera::metadata properties;
    const std::vector<T> values = interesting_values<T>();
    for (std::size_t i = 0; i < values.size(); ++i) properties.set("scalar." + std::to_string(i), T(values[i]));
    properties.set("array", values);
    properties.set("empty", std::vector<T>{});

    const support::scratch_dir dir;
    gguf::writer writer{dir / "m.gguf"};
    writer.begin({}, properties);
    writer.finish();
    CHECK(std::filesystem::file_size(dir / "m.gguf") == gguf::file_size({}, properties));
    CHECK(gguf::reader{dir / "m.gguf"}.metadata() == properties);
}

TEST_CASE("golden files: written again, they are the same bytes") {
    const support::scratch_dir dir;
    std::size_t files = 0;
    for (const char* folder : {"golden/kld", "golden/architectures"}) {
        const auto found = support::shared(folder);
        if (!found) continue;
        for (const auto& entry : std::filesystem::directory_iterator(*found)) {
            if (entry.path().extension() != ".gguf") continue;
            CAPTURE(entry.path().string());
            const gguf::reader model{entry.path()};
            const std::string original = support::read_text(entry.path());
            CHECK(gguf::file_size(model.tensors(), model.metadata()) == original.size());
            CHECK((written_again(model, dir / entry.path().filename().string()) == original));
            ++files;
        }
        CHECK(files > 0);
    }
}

TEST_CASE("reader: decodes rows of any run") {
    const support::scratch_dir dir;
    tensor_info info;
    info.name = "weights";
    info.dims = {8, 3, 2, 1};
    info.rank = 3;
    std::vector<float> values(48);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i) - 7.5f;
    gguf::writer writer{dir / "w.gguf"};
    writer.begin({&info, 1}, {});
    writer.write(info, 0, as_byte_view(std::span<const float>(values)));
    writer.finish();

    const gguf::reader model{dir / "w.gguf"};
    std::vector<float> rows(16);
    model.read(model.tensors()[0], 3, 2, rows);
    CHECK(rows == std::vector<float>(values.begin() + 24, values.begin() + 40));
}

TEST_CASE("reader: refuses tensors that are not its own, rows outside, and types it cannot decode") {
    const support::scratch_dir dir;
    const auto path = dir / "sample.gguf";
    support::write_text(path, support::sample_gguf().bytes());
    const gguf::basic_reader<format_list<f32>> model{path};
    const tensor_info& first = model.tensors()[0];
    std::vector<float> out(24);
    const auto refused = [&](const tensor_info& info, std::uint64_t row, std::uint64_t rows, const char* part) {
        const std::string message = support::message_of<error>([&] { model.read(info, row, rows, out); });
        CAPTURE(message);
        CHECK(message.find(path.string() + ": tensor " + info.name + ": wanted ") == 0);
        CHECK(message.find(part) != message.npos);
    };
    CHECK_NOTHROW(model.read(first, 0, 3, out));
    refused(first, 0, 4, "got 4 rows from row 0");
    refused(first, 4, 0, "got 0 rows from row 4");
    refused(first, 1, ~std::uint64_t{0}, "got 18446744073709551615 rows from row 1");
    refused(first, 0, 2, "wanted room for 2 x 8 floats, got 24");

    tensor_info stranger = first;
    stranger.name = "stranger";
    refused(stranger, 0, 3, "got a name it does not have");
    tensor_info reshaped = first;
    reshaped.dims = {24, 1, 1, 1};
    refused(reshaped, 0, 1, "wanted F32 [8, 3], got F32 [24]");

    const tensor_info& half_tensor = model.tensors()[2];
    out.resize(5);
    CHECK(model.packed(half_tensor, 0, 1).size() == 10);
    refused(half_tensor, 0, 1, "wanted a type of F32, got F16");
}

TEST_CASE("reader: knows formats of the private range when its list does") {
    static_assert(gguf_format<pair_format>);
    using formats = format_list<f32, pair_format>;
    const support::scratch_dir dir;
    const auto path = dir / "private.gguf";
    tensor_info info;
    info.name = "pairs";
    info.dims = {4, 1, 1, 1};
    info.layout = layout_of<pair_format>;
    const std::array<std::int16_t, 4> codes{-1, 2, 300, -400};
    gguf::writer writer{path};
    writer.begin({&info, 1}, {});
    writer.write(info, 0, as_byte_view(std::span<const std::int16_t>(codes)));
    writer.finish();

    const gguf::basic_reader<formats> model{path};
    std::vector<float> out(4);
    model.read(model.tensors()[0], 0, 1, out);
    CHECK(out == std::vector<float>{-1, 2, 300, -400});
    CHECK(support::message_of<error>([&] { gguf::reader{path}; }) ==
          path.string() + ": tensor pairs: wanted a known tensor type, got 2119499777");
}

TEST_CASE("reader: a pass over a large file leaves little of it in memory") {
    const support::scratch_dir dir;
    const auto path = dir / "large.gguf";
    constexpr std::uint64_t columns = 1 << 16, rows = 256, step = 8;  // 64 MiB, read by 2 MiB
    support::write_text(path, support::raw_gguf(1, 0).tensor("large", {columns, rows}, 0, 0).pad(32).bytes());
    std::filesystem::resize_file(path, std::filesystem::file_size(path) + columns * rows * 4);
    const gguf::reader model{path};
    const tensor_info& info = model.tensors()[0];
    std::vector<float> out(columns * step);
    const std::byte* const mapping = model.packed(info, 0, rows).data();
    if (!resident_bytes(mapping)) {
        MESSAGE("skipped: this system does not tell what a mapping keeps in memory");
        return;
    }
    std::uint64_t most = 0;
    for (std::uint64_t row = 0; row < rows; row += step) {
        model.read(info, row, step, out);
        most = std::max(most, *resident_bytes(mapping));
    }
    CHECK(most < 8u << 20);

    // The same walk without letting go keeps what it touched: the bound above means something.
    std::uint64_t sum = 0;
    for (const std::byte byte : model.packed(info, 0, rows)) sum += std::to_integer<std::uint64_t>(byte);
    CHECK(sum == 0);
    CHECK(*resident_bytes(mapping) > 56u << 20);
    model.release(info, 0, rows);
    CHECK(*resident_bytes(mapping) < 8u << 20);
}
