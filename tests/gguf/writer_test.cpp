// The writer: files that are written, and files that are there and must not change.
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "support/support.hpp"
#include "tessera/gguf.hpp"

using namespace tessera;
using support::names_in;
namespace fs = std::filesystem;

namespace {

tensor_info f32_tensor(std::string name, std::uint64_t columns, std::uint64_t rows) {
    tensor_info info;
    info.name = std::move(name);
    info.dims = {columns, rows, 1, 1};
    info.rank = 2;
    return info;
}

// Three tensors whose rows are counted through: row r of tensor t is filled with 100 t + r.
std::vector<tensor_info> sample_tensors() {
    return {f32_tensor("a", 5, 40), f32_tensor("b", 3, 1), f32_tensor("c", 64, 30)};
}

std::vector<float> sample_rows(const tensor_info& info, std::uint64_t first, std::uint64_t rows) {
    std::vector<float> values;
    for (std::uint64_t r = first; r < first + rows; ++r)
        values.insert(values.end(), info.columns(), static_cast<float>(100 * info.name[0]) + static_cast<float>(r));
    return values;
}

void write_rows(gguf::writer& writer, const tensor_info& info, std::uint64_t first, std::uint64_t rows) {
    const std::vector<float> values = sample_rows(info, first, rows);
    writer.write(info, first, as_byte_view(std::span<const float>(values)));
}

tessera::metadata sample_metadata() {
    tessera::metadata properties;
    properties.set("general.architecture", std::string("test"));
    return properties;
}

void write_sample(const fs::path& path, gguf::writer_options options = {}) {
    const auto tensors = sample_tensors();
    gguf::writer writer{path, std::move(options)};
    writer.begin(tensors, sample_metadata());
    for (const tensor_info& info : tensors) write_rows(writer, info, 0, info.rows());
    writer.finish();
}

using strings = std::vector<std::string>;

}  // namespace

TEST_CASE("writer: the predicted size is the real one") {
    const support::scratch_dir dir;
    const auto tensors = sample_tensors();
    gguf::writer writer{dir / "model.gguf"};
    CHECK(names_in(dir.path()).empty());  // nothing before begin
    writer.begin(tensors, sample_metadata());
    CHECK(writer.total_size() == gguf::file_size(tensors, sample_metadata()));
    CHECK(writer.paths() == std::vector{dir / "model.gguf"});
    CHECK_FALSE(fs::exists(dir / "model.gguf"));
    REQUIRE(names_in(dir.path()).size() == 1);
    CHECK(names_in(dir.path())[0].find("model.gguf.partial-") == 0);
    CHECK(fs::file_size(dir.path() / names_in(dir.path())[0]) == writer.total_size());
    for (const tensor_info& info : tensors) write_rows(writer, info, 0, info.rows());
    writer.finish();
    CHECK(names_in(dir.path()) == strings{"model.gguf"});
    CHECK(fs::file_size(dir / "model.gguf") == writer.total_size());
    CHECK(writer.paths() == std::vector{dir / "model.gguf"});
}

TEST_CASE("writer: the order of rows and the number of threads do not show") {
    const support::scratch_dir dir;
    write_sample(dir / "plain.gguf");
    const std::string plain = support::read_text(dir / "plain.gguf");
    const auto tensors = sample_tensors();

    SUBCASE("backwards") {
        gguf::writer writer{dir / "other.gguf"};
        writer.begin(tensors, sample_metadata());
        for (std::size_t t = tensors.size(); t-- > 0;)
            for (std::uint64_t row = tensors[t].rows(); row-- > 0;) write_rows(writer, tensors[t], row, 1);
        writer.finish();
    }
    SUBCASE("from four threads") {
        gguf::writer writer{dir / "other.gguf"};
        writer.begin(tensors, sample_metadata());
        std::vector<std::thread> threads;
        for (std::uint64_t first = 0; first < 4; ++first)
            threads.emplace_back([&, first] {
                for (const tensor_info& info : tensors)
                    for (std::uint64_t row = first; row < info.rows(); row += 4) write_rows(writer, info, row, 1);
            });
        for (std::thread& thread : threads) thread.join();
        writer.finish();
    }
    SUBCASE("as one of two shards that turned out to fit in one file") {
        write_sample(dir / "other.gguf", {.max_shard_bytes = plain.size()});
    }
    CHECK((support::read_text(dir / "other.gguf") == plain));
}

TEST_CASE("writer: an unfinished model leaves nothing") {
    const support::scratch_dir dir;
    const auto tensors = sample_tensors();
    for (const std::uint64_t limit : {std::uint64_t{0}, std::uint64_t{1000}}) {
        {
            gguf::writer writer{dir / "model.gguf", {.max_shard_bytes = limit}};
            writer.begin(tensors, sample_metadata());
            write_rows(writer, tensors[0], 0, 40);
            write_rows(writer, tensors[2], 7, 12);
            CHECK(support::message_of<error>([&] { writer.finish(); }) ==
                  (dir / "model.gguf").string() + ": tensor b: wanted 1 rows before the end, got 0");
            write_rows(writer, tensors[1], 0, 1);
            CHECK(support::message_of<error>([&] { writer.finish(); }) ==
                  (dir / "model.gguf").string() + ": tensor c: wanted 30 rows before the end, got 12");
            CHECK(names_in(dir.path()).size() == writer.paths().size());  // partial files only
            for (const fs::path& path : writer.paths()) CHECK_FALSE(fs::exists(path));
        }
        CHECK(names_in(dir.path()).empty());
    }
}

TEST_CASE("writer: refuses rows that are not announced, not whole, not inside, or come twice") {
    const support::scratch_dir dir;
    const auto tensors = sample_tensors();
    gguf::writer writer{dir / "model.gguf"};
    const std::vector<std::byte> bytes(4096);
    const auto refused = [&](const tensor_info& info, std::uint64_t row, std::size_t size, const char* part) {
        const std::string message =
            support::message_of<error>([&] { writer.write(info, row, byte_view(bytes).first(size)); });
        CAPTURE(message);
        CHECK(message.find((dir / "model.gguf").string() + ": tensor " + info.name + ": wanted ") == 0);
        CHECK(message.find(part) != message.npos);
    };
    CHECK_THROWS_AS(writer.write(tensors[0], 0, byte_view(bytes).first(20)), const error&);
    CHECK_THROWS_AS(writer.finish(), const error&);

    writer.begin(tensors, sample_metadata());
    CHECK_THROWS_AS(writer.begin(tensors, sample_metadata()), const error&);
    refused(f32_tensor("d", 5, 40), 0, 20, "got a name it does not have");
    refused(f32_tensor("a", 5, 41), 0, 20, "wanted F32 [5, 40], got F32 [5, 41]");
    refused(tensors[0], 0, 19, "wanted whole rows of 20 bytes, got 19");
    refused(tensors[0], 40, 20, "got 1 rows from row 40");
    refused(tensors[0], ~std::uint64_t{0}, 20, "got 0 rows from row 18446744073709551615");
    refused(tensors[1], 0, 24, "got 2 rows from row 0");
    write_rows(writer, tensors[1], 0, 1);
    refused(tensors[1], 0, 12, "wanted each of its 1 rows once, got 2");
}

TEST_CASE("writer: a finished model takes no more") {
    const support::scratch_dir dir;
    const auto tensors = sample_tensors();
    gguf::writer writer{dir / "model.gguf"};
    writer.begin(tensors, {});
    for (const tensor_info& info : tensors) write_rows(writer, info, 0, info.rows());
    writer.finish();
    const std::string bytes = support::read_text(dir / "model.gguf");
    CHECK_THROWS_AS(write_rows(writer, tensors[0], 0, 1), const error&);
    CHECK_THROWS_AS(writer.begin(tensors, {}), const error&);
    CHECK_THROWS_AS(writer.finish(), const error&);
    CHECK((support::read_text(dir / "model.gguf") == bytes));
}

TEST_CASE("writer: an existing file is refused, or replaced at the very end") {
    const support::scratch_dir dir;
    const fs::path path = dir / "model.gguf";
    support::write_text(path, "precious");
    CHECK(support::message_of<error>([&] { gguf::writer{path}; }) ==
          path.string() + ": wanted a name that is free, got a file that exists");

    {
        gguf::writer writer{path, {.existing = existing_file::replace}};
        writer.begin(sample_tensors(), sample_metadata());
        CHECK(support::read_text(path) == "precious");
    }
    CHECK(support::read_text(path) == "precious");
    CHECK(names_in(dir.path()) == strings{"model.gguf"});

    write_sample(path, {.existing = existing_file::replace});
    CHECK(gguf::reader{path}.tensors().size() == 3);
    CHECK(names_in(dir.path()) == strings{"model.gguf"});

    fs::create_directory(dir / "folder.gguf");
    CHECK_THROWS_AS((gguf::writer{dir / "folder.gguf", {.existing = existing_file::replace}}), const error&);
}

TEST_CASE("writer: a file that comes in the way meanwhile is not touched") {
    const support::scratch_dir dir;
    const fs::path path = dir / "model.gguf";
    {
        const auto tensors = sample_tensors();
        gguf::writer writer{path};
        writer.begin(tensors, sample_metadata());
        for (const tensor_info& info : tensors) write_rows(writer, info, 0, info.rows());
        support::write_text(path, "precious");
        CHECK_THROWS_AS(writer.finish(), const error&);
    }
    CHECK(support::read_text(path) == "precious");
    CHECK(names_in(dir.path()) == strings{"model.gguf"});
}

TEST_CASE("writer: the input is never the output, whatever its name") {
    const support::scratch_dir dir;
    const fs::path input = dir / "input.gguf";
    write_sample(input);
    const std::string original = support::read_text(input);
    fs::create_symlink(input, dir / "symbolic.gguf");
    fs::create_hard_link(input, dir / "hard.gguf");
    fs::create_directory(dir / "sub");
    fs::create_directory_symlink(dir.path(), dir.path() / "sub" / "up");
    const auto refused = [&](const fs::path& in, const fs::path& out, std::uint64_t limit) {
        CAPTURE(out.string());
        const auto attempt = [&] {
            gguf::writer writer{
                out, {.inputs = {dir / "unrelated", in}, .existing = existing_file::replace, .max_shard_bytes = limit}};
            writer.begin(sample_tensors(), sample_metadata());
        };
        CHECK(support::message_of<error>(attempt).find(": wanted an output that is none of the inputs, got " +
                                                       in.string()) != std::string::npos);
    };
    for (const char* out : {"input.gguf", "symbolic.gguf", "hard.gguf", "./sub/../input.gguf", "sub/up/input.gguf"}) {
        refused(input, dir / out, 0);
        refused(dir / "symbolic.gguf", dir / out, 0);
    }
    fs::rename(dir / "hard.gguf", dir / "shard-00002-of-00003.gguf");
    refused(input, dir / "shard.gguf", 1000);
    CHECK((support::read_text(input) == original));
    CHECK(names_in(dir.path()) == strings{"input.gguf", "shard-00002-of-00003.gguf", "sub", "symbolic.gguf"});
}

TEST_CASE("writer: what no file can hold is refused before there is one") {
    const support::scratch_dir dir;
    const auto refused = [&](std::vector<tensor_info> tensors, std::string_view key, std::string_view part) {
        CAPTURE(part);
        gguf::writer writer{dir / "model.gguf"};
        tessera::metadata properties;
        properties.set(std::string(key), std::uint32_t{1});
        const std::string message = support::message_of<error>([&] { writer.begin(tensors, properties); });
        CAPTURE(message);
        CHECK(message.find(part) != message.npos);
        CHECK(names_in(dir.path()).empty());
    };
    refused({f32_tensor(std::string(64, 'n'), 5, 1)}, "key", "wanted a name of 1 to 63 bytes, got 64");
    refused({f32_tensor("", 5, 1)}, "key", "wanted a name of 1 to 63 bytes, got 0");
    refused({f32_tensor("a\xff", 5, 1)}, "key", "tensor a\\xff: wanted UTF-8");
    refused({f32_tensor("a", 5, 1), f32_tensor("b", 5, 1), f32_tensor("a", 5, 1)}, "key",
            "tensor a: wanted unique names");
    refused({f32_tensor("a", 5, 0)}, "key", "tensor a: dimension 1 of 2: wanted at least 1, got 0");
    refused({}, "", "wanted a name of 1 to 65535 bytes, got 0");
    refused({}, std::string(65536, 'k'), "wanted a name of 1 to 65535 bytes, got 65536");
    refused({f32_tensor("a", std::uint64_t{1} << 58, 1)}, "key", "bytes free on its disk, got ");

    tensor_info flat = f32_tensor("a", 5, 2);
    flat.rank = 1;
    refused({flat}, "key", "tensor a: dimension 1 of 1: wanted 1, got 2");
    tensor_info blocks = f32_tensor("a", 33, 2);
    blocks.layout = *find_type(type_id::q8_0);
    refused({blocks}, "key", "tensor a: wanted rows of a multiple of 32 weights for Q8_0, got 33");
    // Each fits, their sum does not.
    std::vector<tensor_info> many;
    for (int i = 0; i < 20; ++i) many.push_back(f32_tensor(std::to_string(i), std::uint64_t{1} << 58, 1));
    refused(many, "key", "wanted a file below 2^62 bytes");

    CHECK(support::message_of<error>([&] {
              gguf::writer{dir / "no" / "model.gguf"};
          }).find("wanted a folder that exists, got ") != std::string::npos);
}

TEST_CASE("writer: files have the rights of any new file") {
    const support::scratch_dir dir;
    support::write_text(dir / "plain", "");
    write_sample(dir / "model.gguf");
    CHECK(fs::status(dir / "model.gguf").permissions() == fs::status(dir / "plain").permissions());
}

TEST_CASE("writer: a relative name without a folder") {
    const support::scratch_dir dir;
    const fs::path before = fs::current_path();
    fs::current_path(dir.path());
    write_sample("model.gguf");
    fs::current_path(before);
    CHECK(names_in(dir.path()) == strings{"model.gguf"});
}
