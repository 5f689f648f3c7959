// Models in several files.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

#include "gguf/raw_gguf.hpp"
#include "support/support.hpp"
#include "tessera/gguf.hpp"

using namespace tessera;
using support::raw_gguf;
namespace fs = std::filesystem;

namespace {

// The parts of one raw file of a split model; tests change one thing at a time.
struct raw_shard {
    std::string tensor;
    std::uint16_t number;
    std::uint16_t count = 3;
    std::int32_t tensors = 3;

    [[nodiscard]] std::string bytes() const {
        return raw_gguf(1, 4)
            .entry("general.name", "of " + tensor)
            .entry("split.no", 2, number)
            .entry("split.count", 2, count)
            .entry("split.tensors.count", 5, tensors)
            .tensor(tensor, {8}, 0, 0)
            .pad(32)
            .data(32)
            .bytes();
    }
};

// Three sound files of one tensor each, in a folder of their own.
class raw_split {
public:
    raw_split() {
        for (const raw_shard& shard : {raw_shard{"a", 0}, raw_shard{"b", 1}, raw_shard{"c", 2}})
            put(shard.number, shard.bytes());
    }
    [[nodiscard]] fs::path path(std::uint32_t number) const {
        return dir_ / ("m-0000" + std::to_string(number + 1) + "-of-00003.gguf");
    }
    void put(std::uint32_t number, std::string_view bytes) const { support::write_text(path(number), bytes); }

    // Opening fails with an error about this file that says this.
    void refused(const fs::path& blamed, std::string_view part) const {
        const std::string message = support::message_of<error>([&] { gguf::reader{path(0)}; });
        CAPTURE(message);
        CHECK(message.find(blamed.string() + ": ") == 0);
        CHECK(message.find(part) != message.npos);
    }

private:
    support::scratch_dir dir_;
};

std::vector<tensor_info> numbered_tensors(std::size_t count) {
    std::vector<tensor_info> tensors(count);
    for (std::size_t t = 0; t < count; ++t) {
        tensors[t].name = "blk." + std::to_string(t) + ".weight";
        tensors[t].dims = {100, t + 1, 1, 1};
        tensors[t].rank = 2;
    }
    return tensors;
}

}  // namespace

TEST_CASE("shard names") {
    const auto name = gguf::parse_shard_name("a/b-00002-of-00013.gguf");
    REQUIRE(name);
    CHECK(name->prefix == "a/b");
    CHECK(name->number == 2);
    CHECK(name->count == 13);
    CHECK(name->path() == "a/b-00002-of-00013.gguf");
    for (const char* other : {"b.gguf", "-00001-of-00002.gguf", "b-0001-of-0002.gguf", "b-00001-of-00002.GGUF",
                              "b-00001_of-00002.gguf", "b-0000a-of-00002.gguf", "b-00001-of-00002.gguf.partial", ""})
        CHECK_FALSE(gguf::parse_shard_name(other));
    CHECK(gguf::shard_prefix("a/b.gguf") == "a/b");
    CHECK(gguf::shard_prefix("a/b-00001-of-00002.gguf") == "a/b");
    CHECK(gguf::shard_prefix("a.b/c") == "a.b/c");
}

TEST_CASE("split: files of limited size, together the same model") {
    const support::scratch_dir dir;
    const auto tensors = numbered_tensors(12);
    tessera::metadata properties;
    properties.set("general.name", std::string("split"));
    properties.set("split.count", std::uint16_t{99});  // of another file: must not come through
    constexpr std::uint64_t limit = 8000;

    gguf::writer writer{dir / "model.gguf", {.max_shard_bytes = limit}};
    writer.begin(tensors, properties);
    std::uint64_t largest = 0;
    for (const tensor_info& info : tensors) {
        const std::vector<float> rows(info.weights(), static_cast<float>(info.rows()));
        writer.write(info, 0, as_byte_view(std::span<const float>(rows)));
        largest = std::max(largest, info.bytes());
    }
    writer.finish();
    REQUIRE(largest < limit);
    REQUIRE(writer.paths().size() > 3);

    const auto count = static_cast<std::uint16_t>(writer.paths().size());
    std::uint64_t total = 0, previous = 0;
    for (std::uint16_t i = 0; i < count; ++i) {
        const fs::path& path = writer.paths()[i];
        CHECK(path == gguf::shard_name{dir / "model", i + 1u, count}.path());
        const std::uint64_t size = fs::file_size(path);
        CHECK(size <= limit);
        if (i > 0) CHECK(previous + size > limit);  // it was necessary to go on in another
        previous = size;
        total += size;

        const std::string bytes = support::read_text(path);
        const gguf::header shard = gguf::parse_header<builtin_formats>(std::as_bytes(std::span(bytes)), path.string());
        CHECK(shard.properties.size() == (i == 0 ? 4 : 3));
        CHECK(shard.properties.require<std::uint16_t>("split.no") == i);
        CHECK(shard.properties.require<std::uint16_t>("split.count") == count);
        CHECK(shard.properties.require<std::int32_t>("split.tensors.count") == 12);
    }
    CHECK(total == writer.total_size());

    const gguf::reader model{writer.paths()[0]};
    CHECK(model.files() == writer.paths());
    CHECK(model.metadata().size() == 1);
    CHECK(model.metadata().require<std::string>("general.name") == "split");
    REQUIRE(model.tensors().size() == tensors.size());
    for (std::size_t t = 0; t < tensors.size(); ++t) {
        const tensor_info& info = model.tensors()[t];
        CHECK(info.name == tensors[t].name);
        std::vector<float> rows(info.weights());
        model.read(info, 0, info.rows(), rows);
        CHECK(rows == std::vector<float>(info.weights(), static_cast<float>(info.rows())));
    }
}

TEST_CASE("split: a tensor above the limit has a file of its own, a limit that is large enough makes one file") {
    const auto tensors = numbered_tensors(3);
    const auto shards = gguf::plan_files(tensors, {}, 1);
    REQUIRE(shards.size() == 3);
    for (const auto& shard : shards) CHECK(shard.tensors.size() == 1);
    const std::uint64_t whole = gguf::file_size(tensors, {});
    CHECK(gguf::plan_files(tensors, {}, whole - 1).size() == 2);
    REQUIRE(gguf::plan_files(tensors, {}, whole).size() == 1);
    CHECK(gguf::plan_files(tensors, {}, whole)[0].bytes == whole);
    CHECK(gguf::plan_files(tensors, {}, whole)[0].properties.empty());
    CHECK(gguf::plan_files({}, {}, 1).size() == 1);
    CHECK_THROWS_AS((void)gguf::plan_files(numbered_tensors(65536), {}, 1), const error&);
}

TEST_CASE("split: a limit is met to the byte") {
    const auto tensors = numbered_tensors(12);
    const auto shards = gguf::plan_files(tensors, {}, 8000);
    const std::size_t taken = shards[0].tensors.size();
    REQUIRE(taken > 1);
    CHECK(gguf::plan_files(tensors, {}, shards[0].bytes)[0].tensors.size() == taken);
    CHECK(gguf::plan_files(tensors, {}, shards[0].bytes - 1)[0].tensors.size() == taken - 1);
}

TEST_CASE("split: files made by hand open") {
    const raw_split files;
    const gguf::reader model{files.path(0)};
    CHECK(model.files() == std::vector{files.path(0), files.path(1), files.path(2)});
    REQUIRE(model.tensors().size() == 3);
    CHECK(model.tensors()[2].name == "c");
    CHECK(model.metadata().size() == 1);
    CHECK(model.metadata().require<std::string>("general.name") == "of a");
    CHECK(model.packed(model.tensors()[1], 0, 1).size() == 32);

    // Later files need no more than their number, and the first needs no tensors.
    files.put(1, raw_gguf(1, 1).entry("split.no", 2, std::uint16_t{1}).tensor("b", {8}, 0, 0).pad(32).data(32).bytes());
    files.put(0, raw_gguf(0, 3)
                     .entry("split.no", 2, std::uint16_t{0})
                     .entry("split.count", 2, std::uint16_t{3})
                     .entry("split.tensors.count", 5, std::int32_t{2})
                     .bytes());
    files.put(2, raw_shard{"c", 2, 3, 2}.bytes());
    CHECK(gguf::reader{files.path(0)}.tensors().size() == 2);
}

TEST_CASE("split: keys that say one file are no split") {
    const support::scratch_dir dir;
    for (const auto count : {std::uint16_t{0}, std::uint16_t{1}}) {
        support::write_text(dir / "m.gguf", raw_shard{"a", 0, count, 1}.bytes());
        const gguf::reader model{dir / "m.gguf"};
        CHECK(model.tensors().size() == 1);
        CHECK(model.metadata().size() == 1);
    }
}

TEST_CASE("split: every disagreement is one error about the file that is wrong") {
    const raw_split files;
    SUBCASE("a file is missing") {
        fs::remove(files.path(1));
        files.refused(files.path(1), "cannot open: ");
    }
    SUBCASE("a file is cut") {
        files.put(2, raw_shard{"c", 2}.bytes().substr(0, 100));
        files.refused(files.path(2), "wanted ");
    }
    SUBCASE("a file is in another's place") {
        files.put(1, raw_shard{"b", 2}.bytes());
        files.refused(files.path(1), "key split.no: wanted 1, got 2");
    }
    SUBCASE("a later file is the first again") {
        fs::remove(files.path(2));
        fs::create_symlink(files.path(0), files.path(2));
        files.refused(files.path(2), "key split.no: wanted 2, got 0");
    }
    SUBCASE("a later name leads to itself") {
        fs::remove(files.path(2));
        fs::create_symlink(files.path(2), files.path(2));
        files.refused(files.path(2), "cannot open: ");
    }
    SUBCASE("a later file has no number") {
        files.put(1, raw_gguf(0, 0).bytes());
        files.refused(files.path(1), "key split.no: wanted 1, got nothing");
    }
    SUBCASE("a later file counts other files") {
        files.put(1, raw_shard{"b", 1, 4}.bytes());
        files.refused(files.path(1), "key split.count: wanted 3, got 4");
    }
    SUBCASE("a later file counts other tensors") {
        files.put(1, raw_shard{"b", 1, 3, 4}.bytes());
        files.refused(files.path(1), "key split.tensors.count: wanted 3, got 4");
    }
    SUBCASE("all count one tensor too many") {
        for (const auto& shard : {raw_shard{"a", 0, 3, 4}, raw_shard{"b", 1, 3, 4}, raw_shard{"c", 2, 3, 4}})
            files.put(shard.number, shard.bytes());
        files.refused(files.path(0), "key split.tensors.count: wanted the 3 of all 3 files, got 4");
    }
    SUBCASE("the number of tensors is below 0") {
        for (const auto& shard : {raw_shard{"a", 0, 3, -3}, raw_shard{"b", 1, 3, -3}, raw_shard{"c", 2, 3, -3}})
            files.put(shard.number, shard.bytes());
        files.refused(files.path(0), "key split.tensors.count: wanted the 3 of all 3 files, got -3");
    }
    SUBCASE("a tensor is in two files") {
        files.put(2, raw_shard{"a", 2}.bytes());
        files.refused(files.path(0), "tensor a: wanted unique names, got this one twice");
    }
    SUBCASE("the name counts other files than the key") {
        files.put(0, raw_shard{"a", 0, 2}.bytes());
        files.refused(files.path(0), "wanted the name *-00001-of-00002.gguf for the first of 2 files");
    }
    SUBCASE("the number of tensors is missing") {
        files.put(
            0, raw_gguf(0, 2).entry("split.no", 2, std::uint16_t{0}).entry("split.count", 2, std::uint16_t{3}).bytes());
        files.refused(files.path(0), "key split.tensors.count: wanted the number of tensors, got nothing");
    }
    SUBCASE("the first has no number") {
        files.put(0, raw_gguf(0, 1).entry("split.count", 2, std::uint16_t{3}).bytes());
        files.refused(files.path(0), "key split.no: wanted 0, got nothing");
    }
    SUBCASE("a key has another type") {
        files.put(0, raw_gguf(0, 1).entry("split.no", 4, std::uint32_t{0}).bytes());
        files.refused(files.path(0), "key split.no: wanted uint16, got uint32");
    }
}

TEST_CASE("split: a later file does not open a model, nor does the first under another name") {
    const raw_split files;
    CHECK(support::message_of<error>([&] { gguf::reader{files.path(1)}; }) ==
          files.path(1).string() + ": wanted the first file of a split model (-00001-of-), got number 2");
    const fs::path renamed = files.path(0).parent_path() / "model.gguf";
    fs::rename(files.path(0), renamed);
    CHECK(support::message_of<error>([&] { gguf::reader{renamed}; }).find("wanted the name *-00001-of-00003.gguf") !=
          std::string::npos);
}
