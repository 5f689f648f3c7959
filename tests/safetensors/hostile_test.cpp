// Files that are wrong on purpose: each gets one error that names file and tensor.
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

#include "safetensors/raw_file.hpp"
#include "support/support.hpp"
#include "tessera/safetensors/reader.hpp"

namespace {

using support::has;
using tessera::safetensors::reader;

// The error of opening `bytes` as a file, without the folder's name. It must name the file.
std::string error_of(const std::string& bytes) {
    const support::scratch_dir folder;
    support::write_text(folder / "x.safetensors", bytes);
    const std::string message = support::message_of<tessera::error>([&] { reader{folder / "x.safetensors"}; });
    const std::string prefix = folder.path().string() + "/x.safetensors: ";
    REQUIRE(message.starts_with(prefix));
    return message.substr(prefix.size());
}
std::string error_of(std::string_view header, std::size_t data_bytes) {
    return error_of(support::safetensors_bytes(header, std::string(data_bytes, '\0')));
}

}  // namespace

TEST_CASE("a sound file opens, and every truncation of it fails") {
    const std::string whole = support::safetensors_bytes(
        R"({"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},)"
        R"("b":{"dtype":"BF16","shape":[4],"data_offsets":[24,32]}}  )",
        std::string(32, '\1'));
    const support::scratch_dir folder;
    support::write_text(folder / "x.safetensors", whole);
    CHECK(reader{folder / "x.safetensors"}.tensors().size() == 2);
    for (std::size_t length = 0; length < whole.size(); ++length) {
        CAPTURE(length);
        CHECK(!error_of(whole.substr(0, length)).empty());
    }
    CHECK(has(error_of(whole + '\0'), "wanted 32 bytes of data, got 33"));
}

TEST_CASE("false lengths of the header are refused") {
    for (const std::uint64_t length :
         {std::uint64_t{3}, std::uint64_t{100'000'001}, ~std::uint64_t{0}, std::uint64_t{1} << 63}) {
        std::string bytes(8, '\0');
        std::memcpy(bytes.data(), &length, sizeof length);
        CHECK(has(error_of(bytes + "{}"), "wanted a header of at most 2 bytes"));
    }
}

TEST_CASE("headers that are no table of tensors") {
    CHECK(has(error_of("", 0), "wanted JSON"));
    CHECK(has(error_of("{} x", 0), "wanted JSON"));
    CHECK(has(error_of("[]", 0), "wanted the header to be an object, got array"));
    CHECK(has(error_of(R"({"a":1})", 0), "tensor a: wanted an object, got number"));
    CHECK(has(error_of(R"({"":{}})", 0), "wanted tensor names"));
    CHECK(has(error_of(R"({"a\u0000b":{}})", 0), "wanted tensor names without zero bytes, got a"));
    CHECK(has(error_of("{\"a\xff\":1}", 0), "wanted JSON"));
    CHECK(has(error_of(R"({"__metadata__":[]})", 0), "__metadata__"));
    CHECK(has(error_of(R"({"__metadata__":{"k":1}})", 0), "wanted k to be a string"));
}

TEST_CASE("nesting is bounded, however deep") {
    CHECK(has(error_of(std::string(1'000'000, '['), 0), "levels"));
    std::string objects;
    for (int i = 0; i < 200'000; ++i) objects += "{\"a\":";
    CHECK(has(error_of(objects, 0), "levels"));
    CHECK(has(error_of(R"({"a":{"dtype":"F32","shape":[[1]],"data_offsets":[0,4]}})", 4), "levels"));
}

TEST_CASE("a name twice") {
    const std::string entry = R"("a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]})";
    CHECK(has(error_of("{" + entry + "," + entry + "}", 4), "wanted every key once, got a twice"));
    CHECK(has(error_of(R"({"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 4), "dtype twice"));
}

TEST_CASE("entries of a tensor are wrong") {
    const auto entry = [](std::string_view dtype, std::string_view shape, std::string_view offsets) {
        return error_of("{\"w\":{\"dtype\":" + std::string(dtype) + ",\"shape\":" + std::string(shape) +
                            ",\"data_offsets\":" + std::string(offsets) + "}}",
                        8);
    };
    const auto is_about = [](const std::string& message, std::string_view part) {
        return message.starts_with("tensor w: ") && has(message, part);
    };
    CHECK(is_about(entry("\"F33\"", "[2]", "[0,8]"), "wanted a known dtype, got F33"));
    CHECK(is_about(entry("32", "[2]", "[0,8]"), "dtype"));
    CHECK(is_about(entry("\"F32\"", "2", "[0,8]"), "shape"));
    CHECK(is_about(entry("\"F32\"", "[-2]", "[0,8]"), "shape"));
    CHECK(is_about(entry("\"F32\"", "[2.0]", "[0,8]"), "shape"));
    CHECK(is_about(entry("\"F32\"", "[0]", "[0,0]"), "shape"));
    CHECK(is_about(entry("\"F32\"", "[4294967296,4294967296]", "[0,8]"), "shape"));
    CHECK(is_about(entry("\"F32\"", "[0,4294967296,4294967296]", "[0,8]"), "shape"));
    CHECK(is_about(entry("\"F32\"", "[2,4611686018427387904]", "[0,8]"), "shape"));
    CHECK(is_about(entry("\"F32\"", "[2]", "[0,8,8]"), "data_offsets"));
    CHECK(is_about(entry("\"F32\"", "[2]", "[8,0]"), "data_offsets"));
    CHECK(is_about(entry("\"F32\"", "[2]", "[0,7]"), "wanted data_offsets 8 bytes apart"));
    CHECK(is_about(entry("\"F32\"", "[2]", "[18446744073709551608,18446744073709551616]"), "data_offsets"));
    CHECK(is_about(entry("\"F32\"", "[2]", "[18446744073709551607,18446744073709551615]"), "wanted its data at 0"));
    CHECK(is_about(entry("\"F32\"", "[1099511627776]", "[0,4398046511104]"), "got a file with 8"));
    CHECK(is_about(error_of(R"({"w":{"dtype":"F32","shape":[2]}})", 8), "data_offsets"));
    CHECK(is_about(error_of(R"({"w":{"shape":[2],"data_offsets":[0,8]}})", 8), "dtype"));
    CHECK(is_about(error_of(R"({"w":{"dtype":"F32","data_offsets":[0,8]}})", 8), "shape"));
}

TEST_CASE("tensors overlap or leave gaps") {
    const auto two = [](std::string_view second) {
        return error_of(
            R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":)" +
                std::string(second) + "}}",
            16);
    };
    CHECK(has(two("[4,12]"), "tensor b: wanted its data at 8"));
    CHECK(has(two("[0,8]"), "wanted its data at 8"));
    CHECK(has(two("[12,20]"), "tensor b: wanted its data at 8"));
    CHECK(has(two("[16,24]"), "tensor b: wanted its data at 8"));
}

TEST_CASE("sets of shards are wrong") {
    const support::scratch_dir folder;
    const auto shard = [](std::string_view tensor) {
        return support::safetensors_bytes(
            "{\"" + std::string(tensor) + R"(":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", "abcd");
    };
    const auto error_with = [&](std::string_view index) {
        support::write_text(folder / "model.safetensors.index.json", index);
        const std::string message = support::message_of<tessera::error>([&] { reader{folder.path()}; });
        REQUIRE(message.starts_with(folder.path().string()));
        return message;
    };
    support::write_text(folder / "1.safetensors", shard("a"));
    support::write_text(folder / "2.safetensors", shard("b"));
    support::write_text(folder / "3.safetensors", shard("a"));
    CHECK(has(error_with(R"({"weight_map":{"a":"1.safetensors","b":"9.safetensors"}})"), "wanted shard 9.safetensors"));
    CHECK(has(error_with(R"({"weight_map":{"a":"1.safetensors","b":"1.safetensors"}})"), "tensor b: wanted it here"));
    CHECK(has(error_with(R"({"weight_map":{"a":"2.safetensors","b":"1.safetensors"}})"), "wanted it here"));
    CHECK(has(error_with(R"({"weight_map":{"a":"1.safetensors","b":"3.safetensors"}})"),
              "tensor a: wanted a name of its own"));
    CHECK(has(error_with(R"({"weight_map":{"a":"1.safetensors","a":"2.safetensors"}})"), "twice"));
    CHECK(has(error_with(R"({"weight_map":{"a":"model.safetensors.index.json"}})"),
              "model.safetensors.index.json: wanted a header"));
    for (const char* path :
         {"../1.safetensors", "/etc/passwd", "..", ".", "", "1.safetensors\\u0000", "x/1.safetensors"})
        CHECK(has(error_with("{\"weight_map\":{\"a\":\"" + std::string(path) + "\"}}"),
                  "wanted the name of a file beside"));
    CHECK(has(error_with(R"({"weight_map":{"a":1}})"), "tensor a: wanted the name of a file"));
    CHECK(has(error_with(R"({"weight_map":[]})"), "weight_map"));
    CHECK(has(error_with("[]"), "weight_map"));
    CHECK(has(error_with("{"), "wanted JSON"));
    CHECK(has(error_with(std::string(1'000'000, '[')), "levels"));

    const support::scratch_dir empty;
    CHECK(has(support::message_of<tessera::error>([&] { reader{empty.path()}; }), "got neither"));
    CHECK(has(support::message_of<tessera::error>([&] { reader{empty / "no.safetensors"}; }), "cannot open"));
}

TEST_CASE("scales of the wrong shape or type") {
    const auto scaled = [](std::string_view shape, std::string_view dtype, std::size_t bytes) {
        return error_of(R"({"w":{"dtype":"F8_E4M3","shape":[4,8],"data_offsets":[0,32]},"w_scale_inv":{"dtype":")" +
                            std::string(dtype) + "\",\"shape\":" + std::string(shape) + ",\"data_offsets\":[32," +
                            std::to_string(32 + bytes) + "]}}",
                        32 + bytes);
    };
    CHECK(has(scaled("[2,2]", "F32", 16), "tensor w_scale_inv: wanted scales for"));
    CHECK(has(scaled("[8]", "F32", 32), "tensor w_scale_inv: wanted scales for"));
    CHECK(has(scaled("[1]", "I32", 4), "tensor w_scale_inv: wanted scales for"));
}
