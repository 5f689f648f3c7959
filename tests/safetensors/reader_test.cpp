// Values, scales, shards and the writer.
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "safetensors/raw_file.hpp"
#include "support/support.hpp"
#include "tessera/safetensors.hpp"
#include "tessera/tensor/memory.hpp"

namespace {

namespace st = tessera::safetensors;
using tessera::type_id;

st::reader open_bytes(const support::scratch_dir& folder, std::string_view header, std::string_view data,
                      const st::reader_options& options = {}) {
    support::write_text(folder / "model.safetensors", support::safetensors_bytes(header, data));
    return st::reader(folder.path(), options);
}

std::vector<float> read_all(const st::reader& source, std::string_view name) {
    const tessera::tensor_info* info = source.find(name);
    REQUIRE(info != nullptr);
    std::vector<float> values(info->weights());
    source.read(*info, 0, info->rows(), values);
    return values;
}

std::vector<float> random_values(std::size_t n, unsigned seed) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    std::vector<float> values(n);
    for (float& x : values) x = normal(random);
    return values;
}

// From the definition of the format, in double.
double e4m3_by_definition(unsigned bits) {
    const int exponent = (bits >> 3) & 15, mantissa = bits & 7;
    if (exponent == 15 && mantissa == 7) return std::numeric_limits<double>::quiet_NaN();
    const double magnitude = exponent == 0 ? std::ldexp(mantissa, -9) : std::ldexp(8 + mantissa, exponent - 10);
    return bits & 128 ? -magnitude : magnitude;
}
double e5m2_by_definition(unsigned bits) {
    const int exponent = (bits >> 2) & 31, mantissa = bits & 3;
    double magnitude = exponent == 0 ? std::ldexp(mantissa, -16) : std::ldexp(4 + mantissa, exponent - 17);
    if (exponent == 31)
        magnitude = mantissa ? std::numeric_limits<double>::quiet_NaN() : std::numeric_limits<double>::infinity();
    return bits & 128 ? -magnitude : magnitude;
}

}  // namespace

TEST_CASE("8-bit floats: all 256 codes") {
    const auto same = [](double wanted, float got) {
        return std::isnan(wanted) ? std::isnan(got) : wanted == got && std::signbit(wanted) == std::signbit(got);
    };
    for (unsigned bits = 0; bits < 256; ++bits) {
        CAPTURE(bits);
        const auto code = static_cast<std::uint8_t>(bits);
        CHECK(same(e4m3_by_definition(bits), static_cast<float>(st::float8_e4m3{code})));
        CHECK(same(e5m2_by_definition(bits), static_cast<float>(st::float8_e5m2{code})));
        const double power =
            bits == 255 ? std::numeric_limits<double>::quiet_NaN() : std::ldexp(1.0, static_cast<int>(bits) - 127);
        CHECK(same(power, static_cast<float>(st::float8_e8m0{code})));
    }
}

TEST_CASE("every element type: shape, type, values") {
    const support::scratch_dir folder;
    const std::string header = R"({
        "f32": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
        "f16": {"dtype": "F16", "shape": [2], "data_offsets": [24, 28]},
        "bf16": {"dtype": "BF16", "shape": [1, 2], "data_offsets": [28, 32]},
        "f64": {"dtype": "F64", "shape": [], "data_offsets": [32, 40]},
        "u8": {"dtype": "U8", "shape": [3], "data_offsets": [40, 43]},
        "f8": {"dtype": "F8_E4M3", "shape": [1], "data_offsets": [43, 44]},
        "five": {"dtype": "I16", "shape": [2, 1, 2, 1, 3], "data_offsets": [44, 68]}
    })";
    const std::string data = support::bytes_of<float>({1, 2, 3, 4, 5, -6}) +
                             support::bytes_of<tessera::half>({tessera::half(0.5f), tessera::half(-2.0f)}) +
                             support::bytes_of<tessera::bfloat16>({tessera::bfloat16(3.0f), tessera::bfloat16(-4.0f)}) +
                             support::bytes_of<double>({0.1}) + "\1\2\3" + "\x7e" + std::string(24, '\7');
    const st::reader source = open_bytes(folder, header, data);

    REQUIRE(source.tensors().size() == 7);
    CHECK(source.tensors()[0].name == "f32");  // in the order of the data, not of the JSON's keys
    CHECK(source.find("f32")->dims == std::array<std::uint64_t, 4>{3, 2, 1, 1});
    CHECK(source.find("f32")->rank == 2);
    CHECK(source.find("f64")->rank == 0);
    CHECK(source.find("five")->dims == std::array<std::uint64_t, 4>{3, 1, 2, 2});
    CHECK(source.find("u8")->type() == type_id::i8);
    CHECK(source.find("f8")->type() == type_id::bf16);

    CHECK(read_all(source, "f32") == std::vector<float>{1, 2, 3, 4, 5, -6});
    CHECK(read_all(source, "f16") == std::vector<float>{0.5f, -2.0f});
    CHECK(read_all(source, "bf16") == std::vector<float>{3.0f, -4.0f});
    CHECK(read_all(source, "f64") == std::vector<float>{0.1f});
    CHECK(read_all(source, "f8") == std::vector<float>{448.0f});

    const tessera::byte_view row = source.packed(*source.find("f32"), 1, 1);
    REQUIRE(row.size() == 12);
    CHECK(std::memcmp(row.data(), data.data() + 12, 12) == 0);
    CHECK(source.packed(*source.find("u8"), 0, 1).size() == 3);
    CHECK(source.packed(*source.find("f8"), 0, 1).empty());

    std::vector<float> room(3);
    CHECK_THROWS_AS(source.read(*source.find("u8"), 0, 1, room), tessera::error);
    CHECK_THROWS_AS(source.read(*source.find("f32"), 2, 1, room), tessera::error);

    std::vector<float> part(4);  // of both rows, two columns
    source.read(*source.find("f32"), 0, 2, 1, 2, part);
    CHECK(part == std::vector<float>{2, 3, 5, -6});
    CHECK_THROWS_AS(source.read(*source.find("f32"), 0, 2, 2, 2, part), tessera::error);
    CHECK_THROWS_AS(source.read(*source.find("f32"), 0, 1, 1, 2, part), tessera::error);
    CHECK_THROWS_AS(source.read(*source.find("u8"), 0, 1, 0, 1, std::span(part).first(1)), tessera::error);
    CHECK_THROWS_AS(source.read(*source.find("f32"), 0, 2, room), tessera::error);
    CHECK(source.find("none") == nullptr);
}

TEST_CASE("8-bit floats with scales: per tensor, per row, per block, per block of a stack") {
    struct layout {
        const char* scale_shape;
        std::uint64_t rows, columns, stack;  // of the weights
        std::uint64_t block_rows, block_columns;
        std::size_t scales;
    };
    for (const layout& l :
         {layout{"[]", 5, 6, 1, 5, 6, 1}, layout{"[1]", 5, 6, 1, 5, 6, 1}, layout{"[5]", 5, 6, 1, 1, 6, 5},
          layout{"[5,1]", 5, 6, 1, 1, 6, 5}, layout{"[3,2]", 5, 6, 1, 2, 4, 6}, layout{"[3,3,2]", 5, 6, 3, 2, 4, 18},
          layout{"[3,1,1]", 5, 6, 3, 5, 6, 3}}) {
        CAPTURE(l.scale_shape);
        CAPTURE(l.stack);
        const std::size_t n = l.rows * l.columns * l.stack;
        std::string codes(n, '\0');
        for (std::size_t i = 0; i < n; ++i) codes[i] = static_cast<char>((i * 37 + 11) % 126);
        const std::vector<float> scales = random_values(l.scales, 7);
        const std::string shape = (l.stack > 1 ? std::to_string(l.stack) + "," : "") + std::to_string(l.rows) + "," +
                                  std::to_string(l.columns);
        const std::string header = R"({"x.weight":{"dtype":"F8_E4M3","shape":[)" + shape + R"(],"data_offsets":[0,)" +
                                   std::to_string(n) + R"(]},"x.weight_scale_inv":{"dtype":"F32","shape":)" +
                                   l.scale_shape + ",\"data_offsets\":[" + std::to_string(n) + "," +
                                   std::to_string(n + 4 * l.scales) + "]}}";
        const support::scratch_dir folder;
        const st::reader source =
            open_bytes(folder, header, codes + support::bytes_of(scales), {.block = {.rows = 2, .columns = 4}});

        REQUIRE(source.tensors().size() == 1);  // the scales are hidden
        const tessera::tensor_info& info = source.tensors()[0];
        CHECK(info.type() == type_id::f32);
        CHECK(source.packed(info, 0, 1).empty());
        const std::uint64_t grid_columns = (l.columns + l.block_columns - 1) / l.block_columns;
        const std::uint64_t grid_rows = (l.rows + l.block_rows - 1) / l.block_rows;
        std::vector<float> row(l.columns);
        for (std::uint64_t r = 0; r < l.rows * l.stack; ++r) {
            source.read(info, r, 1, row);
            std::vector<float> part(2);
            source.read(info, r, 1, 3, 2, part);
            CHECK(std::equal(part.begin(), part.end(), row.begin() + 3));
            for (std::uint64_t c = 0; c < l.columns; ++c) {
                const std::uint64_t grid_row = r / l.rows * grid_rows + r % l.rows / l.block_rows;
                const float scale = scales[grid_row * grid_columns + c / l.block_columns];
                const auto code = static_cast<unsigned char>(codes[r * l.columns + c]);
                CHECK(row[c] == static_cast<float>(e4m3_by_definition(code)) * scale);
            }
        }
        // All rows at once are the same rows.
        const std::vector<float> whole = read_all(source, "x.weight");
        CHECK(std::equal(row.begin(), row.end(), whole.end() - static_cast<std::ptrdiff_t>(l.columns)));
    }
}

TEST_CASE("shards: one model from several files, by directory and by index") {
    const support::scratch_dir folder;
    tessera::memory_source one, two;
    one.add("a", {3, 2}, {1, 2, 3, 4, 5, 6});
    one.metadata().set("who", std::string("one"));
    two.add("b", {2}, {7, 8});
    two.metadata().set("who", std::string("two"));
    st::write(folder / "model-00001-of-00002.safetensors", one);
    st::write(folder / "model-00002-of-00002.safetensors", two);
    support::write_text(folder / "model.safetensors.index.json",
                        R"({"metadata":{"total_size":32},"weight_map":{"a":"model-00001-of-00002.safetensors",)"
                        R"("b":"model-00002-of-00002.safetensors"}})");

    for (const auto& path : {folder.path(), folder / "model.safetensors.index.json"}) {
        const st::reader source(path);
        REQUIRE(source.tensors().size() == 2);
        CHECK(source.files().size() == 2);
        CHECK(source.tensors()[0].name == "a");
        CHECK(read_all(source, "a") == std::vector<float>{1, 2, 3, 4, 5, 6});
        CHECK(read_all(source, "b") == std::vector<float>{7, 8});
        CHECK(source.metadata().require<std::string>("who") == "one");
        CHECK(source.metadata().require<std::string>("format") == "pt");
    }
}

TEST_CASE("what the writer writes, the reader reads: bytes, types, shapes, a large tensor in pieces") {
    const support::scratch_dir folder;
    tessera::memory_source floats;
    floats.add("large", {1000, 2500}, random_values(2'500'000, 1));
    floats.add("cube", {4, 3, 2}, random_values(24, 2));
    st::write(folder / "first.safetensors", floats);
    const st::reader first(folder / "first.safetensors");
    CHECK(first.find("cube")->dims == std::array<std::uint64_t, 4>{4, 3, 2, 1});
    CHECK(first.find("cube")->rank == 3);
    for (const tessera::tensor_info& info : floats.tensors()) {
        std::vector<float> wanted(info.weights());
        floats.read(info, 0, info.rows(), wanted);
        CHECK(read_all(first, info.name) == wanted);
    }

    // Through a sink, tensors come in other types; a second writing is byte for byte the first.
    tessera::memory_sink narrow;
    std::vector<tessera::tensor_info> infos;
    for (const type_id type : {type_id::f16, type_id::bf16}) {
        tessera::tensor_info info{.name = std::string(tessera::find_type(type)->name), .dims = {3, 2, 1, 1}, .rank = 2};
        info.layout = *tessera::find_type(type);
        infos.push_back(info);
    }
    narrow.begin(infos, {});
    const std::vector<std::uint16_t> bits{1, 2, 3, 0x3c00, 0xbc00, 0x7bff};
    for (const auto& info : infos) narrow.write(info, 0, tessera::as_byte_view(std::span(bits)));
    narrow.finish();
    st::write(folder / "a.safetensors", narrow);
    const st::reader again(folder / "a.safetensors");
    CHECK(again.find("F16")->type() == type_id::f16);
    CHECK(again.find("BF16")->type() == type_id::bf16);
    CHECK(std::memcmp(again.packed(*again.find("BF16"), 0, 2).data(), bits.data(), 12) == 0);
    st::write(folder / "b.safetensors", again);
    CHECK(support::read_text(folder / "a.safetensors") == support::read_text(folder / "b.safetensors"));

    // A file can be rewritten from itself: the old one stays mapped until the new one has its name.
    st::write(folder / "a.safetensors", again);
    CHECK(support::read_text(folder / "a.safetensors") == support::read_text(folder / "b.safetensors"));
}

TEST_CASE("the writer converts what has no bytes, refuses other types and leaves no file") {
    const support::scratch_dir folder;
    const st::reader codes =
        open_bytes(folder, R"({"w":{"dtype":"F8_E4M3","shape":[2,2],"data_offsets":[0,4]}})", "\x38\x40\x7e\x01");
    st::write(folder / "wide.safetensors", codes);
    const st::reader wide(folder / "wide.safetensors");
    CHECK(wide.find("w")->type() == type_id::bf16);
    CHECK(read_all(wide, "w") == std::vector<float>{1.0f, 2.0f, 448.0f, 0x1p-9f});

    const st::reader integers = open_bytes(folder, R"({"i":{"dtype":"I32","shape":[1],"data_offsets":[0,4]}})", "abcd");
    CHECK_THROWS_AS(st::write(folder / "no.safetensors", integers), tessera::error);
    CHECK_THROWS_AS(st::write(folder / "missing/no.safetensors", codes), tessera::error);
    std::size_t files = 0;
    for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(folder.path())) ++files;
    CHECK(files == 2);
}
