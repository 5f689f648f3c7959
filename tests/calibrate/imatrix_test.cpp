// Importance-matrix files: both formats, there and back, and what must be refused.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "support/support.hpp"
#include "tessera/calibrate/imatrix.hpp"
#include "tessera/calibrate/importance_table.hpp"
#include "tessera/calibrate/rare_matrices.hpp"
#include "tessera/tensor/memory.hpp"

namespace {

using namespace tessera;

tensor_info shape(std::string name, std::uint64_t columns, std::uint64_t rows, std::uint64_t matrices = 1) {
    return {.name = std::move(name), .dims = {columns, rows, matrices, 1}, .rank = 3};
}

imatrix_file example() {
    imatrix_file file{.datasets = {"a.txt", "b.txt"}, .chunk_size = 64, .chunk_count = 3};
    file.importances.add("blk.0.ffn_up.weight", {{1.5f, 0.0f, 2.25f, 4.0f}, {192}});
    file.importances.add("blk.0.attn_k_b.weight", {{1, 2, 3, 4, 5, 6}, {192}});
    file.importances.add("blk.0.ffn_up_exps.weight", {{1, 2, 0, 0, 3, 4}, {8, 0, 130}});
    return file;
}

// The bytes of a legacy file, put together by hand.
struct raw_legacy {
    std::string bytes;
    template <class T>
    raw_legacy& number(T value) {
        bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
        return *this;
    }
    raw_legacy& text(std::string_view value) {
        number(static_cast<std::int32_t>(value.size()));
        bytes += value;
        return *this;
    }
    raw_legacy& entry(std::string_view name, std::int32_t calls, std::vector<float> values) {
        text(name).number(calls).number(static_cast<std::int32_t>(values.size()));
        for (const float value : values) number(value);
        return *this;
    }
};

imatrix_file parse(const std::string& bytes) { return parse_imatrix_legacy(std::as_bytes(std::span(bytes)), "x.dat"); }

}  // namespace

TEST_CASE("importances are found by tensor and matrix, and refused by shape") {
    const importance_table table = example().importances;
    CHECK(table.find(shape("blk.0.ffn_up.weight", 4, 7), 0).size() == 4);
    CHECK(table.find(shape("blk.0.ffn_up_exps.weight", 2, 7, 3), 2)[1] == 4);
    CHECK(table.find(shape("blk.0.ffn_up_exps.weight", 2, 7, 3), 1).empty());
    CHECK(table.find(shape("blk.0.attn_k_b.weight", 2, 7, 3), 1)[0] == 3);
    CHECK(table.find(shape("output.weight", 4, 7), 0).empty());
    CHECK_THROWS_AS((void)table.find(shape("blk.0.ffn_up.weight", 2, 7), 0), error);
    CHECK_THROWS_AS((void)table.find(shape("blk.0.ffn_up_exps.weight", 3, 7, 2), 0), error);
    CHECK_THROWS_AS((void)table.find(shape("blk.0.ffn_up_exps.weight", 6, 7, 1), 0), error);
    table.require_fit(std::vector{shape("output.weight", 9, 9), shape("blk.0.ffn_up.weight", 4, 1)});
    CHECK_THROWS_AS(table.require_fit(std::vector{shape("output.weight", 9, 9)}), error);
    importance_table{}.require_fit(std::vector{shape("output.weight", 9, 9)});

    importance_table own;
    CHECK_THROWS_AS(own.add("a", {{1, 2, 3}, {4, 4}}), error);
    CHECK_THROWS_AS(own.add("a", {{1, -2}, {4}}), error);
    CHECK_THROWS_AS(own.add("a", {{1, std::numeric_limits<float>::infinity()}, {4}}), error);
    own.add("a", {{1, 2}, {4}});
    CHECK_THROWS_AS(own.add("a", {{1, 2}, {4}}), error);
}

TEST_CASE("both formats come back as they were written") {
    const support::scratch_dir folder;
    const imatrix_file file = example();
    write_imatrix(folder / "x.gguf", file);
    const imatrix_file same = read_imatrix(folder / "x.gguf");
    CHECK(same.importances == file.importances);
    CHECK(same.datasets == file.datasets);
    CHECK(same.chunk_size == 64);
    CHECK(same.chunk_count == 3);

    const gguf::reader raw(folder / "x.gguf");  // the layout that stock readers expect
    CHECK(raw.metadata().require<std::string>("general.type") == "imatrix");
    CHECK(raw.metadata().require<std::uint32_t>("imatrix.chunk_size") == 64);
    CHECK(raw.metadata().require<std::uint32_t>("tessera.calibration.version") == 1);
    CHECK_FALSE(same.properties.contains("tessera.calibration.version"));
    REQUIRE(raw.tensors().size() == 6);
    CHECK(raw.tensors()[0].name == "blk.0.attn_k_b.weight.in_sum2");
    CHECK(raw.tensors()[0].dims == std::array<std::uint64_t, 4>{6, 1, 1, 1});
    CHECK(raw.tensors()[1].dims == std::array<std::uint64_t, 4>{1, 1, 1, 1});
    CHECK(raw.tensors()[4].name == "blk.0.ffn_up_exps.weight.in_sum2");
    CHECK(raw.tensors()[4].dims == std::array<std::uint64_t, 4>{2, 3, 1, 1});
    std::vector<float> sums(6), counts(3);
    raw.read(raw.tensors()[4], 0, 3, sums);
    raw.read(raw.tensors()[5], 0, 3, counts);
    CHECK(sums == std::vector<float>{8, 16, 0, 0, 390, 520});
    CHECK(counts == std::vector<float>{8, 0, 130});

    write_imatrix(folder / "x.dat", file);
    raw_legacy wanted;
    wanted.number(3).entry("blk.0.attn_k_b.weight", 3, {3, 6, 9, 12, 15, 18});
    wanted.entry("blk.0.ffn_up.weight", 3, {4.5f, 0, 6.75f, 12});
    wanted.entry("blk.0.ffn_up_exps.weight", 3, {3, 6, 3, 3, 9, 12}).number(3).text("a.txt");
    CHECK(support::read_text(folder / "x.dat") == wanted.bytes);
    const imatrix_file legacy = read_imatrix(folder / "x.dat");
    CHECK(legacy.importances.find("blk.0.ffn_up.weight")->mean_squares == std::vector<float>{1.5f, 0, 2.25f, 4});
    CHECK(legacy.importances.find("blk.0.ffn_up_exps.weight")->mean_squares == std::vector<float>{1, 2, 1, 1, 3, 4});
    CHECK(legacy.chunk_count == 3);
    CHECK(legacy.datasets == std::vector<std::string>{"a.txt"});

    CHECK_THROWS_AS(write_imatrix(folder / "x.dat", file), error);
    CHECK_THROWS_AS(write_imatrix(folder / "x.gguf", file), error);
    write_imatrix(folder / "x.dat", file, {.existing = existing_file::replace});
    CHECK_THROWS_AS((void)imatrix_legacy_bytes({}), error);
}

TEST_CASE("windows held out are found under the key of earlier versions") {
    const support::scratch_dir folder;
    imatrix_file file = example();
    const std::vector<std::int32_t> windows{1, 2, 3, 4};
    file.properties.set("tessera.calibration.held_back", windows);
    write_imatrix(folder / "old.gguf", file);
    const metadata properties = read_imatrix(folder / "old.gguf").properties;
    CHECK(properties.require<std::vector<std::int32_t>>("tessera.calibration.held_out") == windows);
    CHECK_FALSE(properties.contains("tessera.calibration.held_back"));
}

TEST_CASE("a file of llama.cpp's tool is read") {
    const auto path = support::shared("golden/imatrix/imatrix.dat");
    if (!path) return;
    const imatrix_file file = read_imatrix(*path);
    CHECK(file.importances.size() == 21);
    CHECK(file.chunk_count == 133);
    const tensor_importance* down = file.importances.find("blk.2.ffn_down.weight");
    REQUIRE(down != nullptr);
    CHECK(down->mean_squares.size() == 768);
    CHECK(down->mean_squares[0] == doctest::Approx(0.348).epsilon(0.01));
}

TEST_CASE("every length in a legacy file is checked") {
    raw_legacy good;
    good.number(2).entry("a.weight", 4, {1, 2}).entry("b.weight", 0, {3}).number(4).text("text");
    CHECK(parse(good.bytes).importances.find("a.weight")->mean_squares == std::vector<float>{0.25f, 0.5f});
    CHECK(parse(good.bytes).importances.find("b.weight")->mean_squares == std::vector<float>{3});
    const std::size_t entries = good.bytes.size() - 12;
    CHECK(parse(good.bytes.substr(0, entries)).datasets.empty());
    for (std::size_t size = 0; size < good.bytes.size(); ++size) {
        if (size == entries || size == entries + 4) continue;  // the trailer may be missing
        CAPTURE(size);
        CHECK_THROWS_AS((void)parse(good.bytes.substr(0, size)), error);
    }
    CHECK_THROWS_AS((void)parse(good.bytes + "x"), error);
    for (const std::int32_t wrong :
         {-1, 0, std::numeric_limits<std::int32_t>::max(), std::numeric_limits<std::int32_t>::min()}) {
        for (const std::size_t at : {0u, 4u, 20u}) {  // entries, length of a name, columns
            std::string bad = good.bytes;
            std::memcpy(bad.data() + at, &wrong, sizeof wrong);
            CHECK_THROWS_AS((void)parse(bad), error);
        }
    }
    for (const float wrong : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(), -1.0f}) {
        const std::string message = support::message_of<error>(
            [&] { (void)parse(raw_legacy{}.number(1).entry("a.weight", 4, {1, wrong}).bytes); });
        CHECK(message.starts_with("x.dat: importances of a.weight: wanted finite mean squares"));
    }
    CHECK_THROWS_AS((void)parse(raw_legacy{}.number(2).entry("a", 1, {1}).entry("a", 1, {1}).bytes), error);
    CHECK_THROWS_AS((void)parse(raw_legacy{}.number(1).entry(std::string_view("a\0b", 3), 1, {1}).bytes), error);
}

TEST_CASE("a GGUF that contradicts itself, or is something else, is refused") {
    const support::scratch_dir folder;
    struct tensor {
        std::string name;
        std::vector<float> values;
    };
    const auto message = [&](const std::vector<tensor>& tensors, const char* type = "imatrix",
                             std::uint32_t version = 1) {
        std::vector<tensor_info> infos;
        for (const tensor& t : tensors) infos.push_back({.name = t.name, .dims = {t.values.size(), 1, 1, 1}});
        metadata properties;
        properties.set("general.type", std::string(type));
        if (version != 1) properties.set("tessera.calibration.version", version);
        gguf::writer out(folder / "x.gguf", {.existing = existing_file::replace});
        out.begin(infos, properties);
        for (std::size_t t = 0; t < tensors.size(); ++t)
            out.write(infos[t], 0, as_byte_view(std::span(tensors[t].values)));
        out.finish();
        try {
            (void)read_imatrix(folder / "x.gguf");
        } catch (const error& e) {
            return std::string(e.what());
        }
        return std::string("read");
    };
    const float nan = std::numeric_limits<float>::quiet_NaN();
    CHECK(message({{"a.in_sum2", {1, 2}}, {"a.counts", {1}}}) == "read");
    CHECK(message({{"a.in_sum2", {1, 2}}, {"a.counts", {1}}, {"a.in_sum", {5}}}) == "read");  // of later versions
    CHECK(message({}) == "read");
    CHECK(message({}, "model").find("another kind") != std::string::npos);
    CHECK(message({{"a.in_sum2", {1, 2}}}).find("a.counts") != std::string::npos);
    CHECK(message({{"a.counts", {1, 2}}}).find("its sums") != std::string::npos);
    CHECK(message({{"a.in_sum2", {1, 2, 3}}, {"a.counts", {1, 1}}}).find("2 counts") != std::string::npos);
    CHECK(message({{"a.in_sum2", {1, nan}}, {"a.counts", {1}}}).find("finite") != std::string::npos);
    CHECK(message({{"a.in_sum2", {1, -2}}, {"a.counts", {1}}}).find("finite mean squares, got -2") !=
          std::string::npos);
    for (const float wrong : {-1.0f, nan, 1e30f})
        CHECK(message({{"a.in_sum2", {1}}, {"a.counts", {wrong}}}).find("count of tokens") != std::string::npos);
    const std::string named = (folder / "x.gguf").string() + ": ";
    CHECK(message({}, "imatrix", 2) ==
          named + "key tessera.calibration.version: wanted version 1, got 2, which a later release wrote");
    CHECK(message({{"a.in_sum2", {1, -2}}, {"a.counts", {1}}}).starts_with(named));
    CHECK(message({{"a.counts", {1, 2}}}).starts_with(named));
    support::write_text(folder / "short.gguf", support::read_text(folder / "x.gguf").substr(0, 60));
    CHECK_THROWS_AS((void)read_imatrix(folder / "short.gguf"), error);
}

TEST_CASE("nothing is written that could not be read again") {
    const support::scratch_dir folder;
    imatrix_file large;  // its mean squares are floats, their sums are not
    large.importances.add("a.weight", {{3e38f, 1.0f}, {1024}});
    for (const char* name : {"x.gguf", "x.dat"}) {
        const std::string message = support::message_of<error>([&] { write_imatrix(folder / name, large); });
        CHECK(support::has(message, "importances of a.weight: wanted sums that floats hold"));
        CHECK(support::fs::is_empty(folder.path()));
    }
    imatrix_file bare{.datasets = {""}};  // no number of windows, no name of a text
    bare.importances.add("a.weight", {{1.0f, 2.0f}, {1024}});
    write_imatrix(folder / "x.dat", bare);
    const imatrix_file read = read_imatrix(folder / "x.dat");
    CHECK(read.chunk_count == 2);
    CHECK(read.datasets == std::vector<std::string>{"unknown"});
}

TEST_CASE("rare matrices get what they lack from their tensor's average") {
    importance_table table;
    table.add("exps", {{1, 2, 0, 0, 3, 6}, {5, 0, 15}});
    table.add("plain", {{1, 2}, {3}});
    table.add("unreached", {{0, 0}, {0, 0}});
    const auto rare = blend_rare_matrices(table, 10);
    REQUIRE(rare.size() == 2);
    CHECK((rare[0].tensor == "exps" && rare[0].matrix == 0 && rare[0].tokens == 5));
    CHECK((rare[1].tensor == "exps" && rare[1].matrix == 1 && rare[1].tokens == 0));
    // The average token: (5 * {1, 2} + 15 * {3, 6}) / 20 = {2.5, 5}.
    CHECK(table.find("exps")->mean_squares == std::vector<float>{1.75f, 3.5f, 2.5f, 5.0f, 3, 6});
    CHECK(table.find("exps")->tokens == std::vector<std::uint64_t>{10, 10, 15});
    CHECK(table.find("plain")->mean_squares == std::vector<float>{1, 2});
    CHECK(table.find("unreached")->unreached() == 2);
}
