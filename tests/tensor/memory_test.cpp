// Models in memory, and the parts that every source and sink shares.
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "support/support.hpp"
#include "tessera/tensor.hpp"

using namespace tessera;

TEST_CASE("memory_source: gives back what it was given") {
    memory_source source;
    source.metadata().set("general.architecture", std::string("test"));
    source.add("matrix", {3, 2}, {1, 2, 3, 4, 5, 6});
    source.add("vector", {4}, {7, 8, 9, 10});

    REQUIRE(source.tensors().size() == 2);
    const tensor_info& matrix = source.tensors()[0];
    CHECK(source.find("matrix") == &matrix);
    CHECK(source.find("other") == nullptr);
    CHECK(matrix.rank == 2);
    CHECK(matrix.rows() == 2);
    CHECK(source.tensors()[1].rank == 1);
    CHECK(source.metadata().require<std::string>("general.architecture") == "test");

    std::vector<float> row(3);
    source.read(matrix, 1, 1, row);
    CHECK(row == std::vector<float>{4, 5, 6});
    CHECK(source.packed(source.tensors()[1], 0, 1).size() == 16);
    CHECK(support::message_of<error>([&] { source.read(matrix, 1, 2, row); }) ==
          "memory: tensor matrix: wanted rows below 2, got 2 rows from row 1");
    CHECK(support::message_of<error>([&] { source.read(matrix, 0, 2, row); }) ==
          "memory: tensor matrix: wanted room for 2 x 3 floats, got 3");
}

TEST_CASE("memory_source: refuses shapes that are none, and names that are taken") {
    memory_source source;
    source.add("taken", {1}, {0});
    CHECK_THROWS_AS(source.add("taken", {2}, {0, 0}), const error&);
    CHECK_THROWS_AS(source.add("a", {3}, {0, 0}), const error&);
    CHECK_THROWS_AS(source.add("a", {}, {}), const error&);
    CHECK_THROWS_AS(source.add("a", {0}, {}), const error&);
    CHECK_THROWS_AS(source.add("a", {1, 1, 1, 1, 1}, {0}), const error&);
    CHECK_THROWS_AS(source.add("a", {std::uint64_t{1} << 32, std::uint64_t{1} << 32}, {}), const error&);
    REQUIRE(source.tensors().size() == 1);
    CHECK(source.packed(source.tensors()[0], 0, 1).size() == 4);
}

TEST_CASE("memory_sink: is the source of what it received") {
    tensor_info info;
    info.name = "halves";
    info.dims = {2, 3, 1, 1};
    info.rank = 2;
    info.layout = *find_type(type_id::f16);
    const std::array<half, 6> values{half(1.0f), half(2.0f), half(3.0f), half(4.0f), half(5.0f), half(-0.5f)};
    const byte_view bytes = as_byte_view(std::span<const half>(values));
    tessera::metadata properties;
    properties.set("general.name", std::string("kept"));

    memory_sink sink;
    sink.begin({&info, 1}, properties);
    sink.write(info, 2, bytes.subspan(8));
    CHECK(support::message_of<error>([&] { sink.finish(); }) ==
          "memory: tensor halves: wanted 3 rows before the end, got 1");
    CHECK(support::message_of<error>([&] { sink.write(info, 0, bytes.first(3)); }) ==
          "memory: tensor halves: wanted whole rows of 4 bytes, got 3");
    sink.write(info, 0, bytes.first(8));
    CHECK_NOTHROW(sink.finish());
    CHECK(support::message_of<error>([&] { sink.write(info, 0, bytes.first(4)); }) ==
          "memory: tensor halves: wanted each of its 3 rows once, got 4");

    CHECK(sink.metadata() == properties);
    REQUIRE(sink.tensors().size() == 1);
    std::vector<float> rows(4);
    sink.read(sink.tensors()[0], 1, 2, rows);
    CHECK(rows == std::vector<float>{3, 4, 5, -0.5f});
}
