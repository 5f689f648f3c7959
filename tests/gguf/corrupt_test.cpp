// Corrupt files: each gives one clear error, no crash, and takes no memory.
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

#include <doctest/doctest.h>

#include "gguf/allocations.hpp"
#include "gguf/raw_gguf.hpp"
#include "support/support.hpp"
#include "tessera/gguf/reader.hpp"

using namespace tessera;
using support::raw_gguf;
using support::sample_gguf;

namespace {

// Feeds bytes to the reader as files of one name.
class victim {
public:
    // The message of the error that opening makes, or nothing when the file opens. Other exceptions pass through.
    std::optional<std::string> open(std::string_view bytes) const {
        support::write_text(path_, bytes);
        support::reset_largest_allocation();
        std::optional<std::string> message;
        try {
            gguf::reader{path_};
        } catch (const error& e) {
            message = e.what();
        }
        CHECK(support::largest_allocation() < 128 * 1024);
        if (message) {
            CAPTURE(*message);
            CHECK(message->find(path_.string() + ": ") == 0);
        }
        return message;
    }

    void refuses(std::string_view bytes, std::string_view part) const {
        CAPTURE(part);
        const auto message = open(bytes);
        REQUIRE(message);
        CAPTURE(*message);
        CHECK(message->find(part) != message->npos);
    }

private:
    support::scratch_dir dir_;
    std::filesystem::path path_ = dir_ / "victim.gguf";
};

// A file of one F32 tensor of 8 weights with this name.
std::string named(std::string_view name) { return raw_gguf(1, 0).tensor(name, {8}, 0, 0).pad(32).data(32).bytes(); }

// A file whose only entry has this key.
std::string keyed(std::string_view key) { return raw_gguf(0, 1).entry(key, 4, std::uint32_t{1}).bytes(); }

// A file of one tensor of this shape and type, with a little data.
std::string shaped(std::initializer_list<std::uint64_t> dims, std::uint32_t type) {
    return raw_gguf(1, 0).tensor("t", dims, type, 0).pad(32).data(4096).bytes();
}

}  // namespace

TEST_CASE("corrupt: a file cut anywhere before its last weight") {
    const victim v;
    const std::string whole = sample_gguf().bytes();
    REQUIRE_FALSE(v.open(whole));
    const std::size_t end_of_data = whole.size() - 22;  // the last tensor has 10 bytes, padded to 32
    for (std::size_t size = 0; size < end_of_data; ++size) {
        CAPTURE(size);
        const auto message = v.open(std::string_view(whole).substr(0, size));
        REQUIRE(message);
        CHECK(message->find(": wanted ") != message->npos);
        CHECK(message->find(", got ") != message->npos);
    }
    // Missing padding and trailing bytes take nothing from the model.
    for (std::size_t size = end_of_data; size <= whole.size(); ++size) CHECK_FALSE(v.open(whole.substr(0, size)));
    CHECK_FALSE(v.open(whole + "more"));
}

TEST_CASE("corrupt: every false number about structure in the header") {
    const victim v;
    const raw_gguf whole = sample_gguf();
    const auto ends_with = [](std::string_view text, std::string_view end) {
        return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
    };
    std::size_t fields = 0;
    for (const raw_gguf::field& field : whole.fields()) {
        const bool is_structure = ends_with(field.name, " length") || ends_with(field.name, " count") ||
                                  ends_with(field.name, " dim") || ends_with(field.name, " rank") ||
                                  ends_with(field.name, " offset") || ends_with(field.name, " type");
        if (!is_structure) continue;
        ++fields;
        CAPTURE(field.name);
        for (const std::uint64_t lie :
             {~std::uint64_t{0}, std::uint64_t{1} << 63, (std::uint64_t{1} << 63) - 1, std::uint64_t{1} << 61,
              std::uint64_t{1} << 60, std::uint64_t{1} << 40, (std::uint64_t{1} << 32) + 1, std::uint64_t{0xffffffff},
              std::uint64_t{1} << 31, std::uint64_t{1} << 30, std::uint64_t{100000}}) {
            if (field.size == 4 && (lie & 0xffffffff) <= 12) continue;  // cut to 32 bits it may be a value that exists
            CAPTURE(lie);
            REQUIRE(v.open(whole.spoiled(field, lie)));
        }
    }
    CHECK(fields > 90);
}

TEST_CASE("corrupt: any byte of the header replaced by any other") {
    const victim v;
    const std::string whole = sample_gguf().bytes();
    const std::size_t header = whole.size() - 96 - 160 - 32;
    std::size_t refused = 0;
    for (std::size_t i = 0; i < header; ++i)
        for (const unsigned flip : {0x01u, 0x80u, 0xffu}) {
            std::string bytes = whole;
            bytes[i] = static_cast<char>(static_cast<unsigned char>(bytes[i]) ^ flip);
            CAPTURE(i);
            CAPTURE(flip);
            refused += v.open(bytes).has_value();  // opens, or fails with an error of ours that names the file
        }
    CHECK(refused > header);  // most bytes matter
    CHECK(refused < 3 * header);
}

TEST_CASE("corrupt: magic and version") {
    const victim v;
    const raw_gguf whole = sample_gguf();
    v.refuses("", "wanted a GGUF file, got an empty file");
    v.refuses(whole.spoiled("magic", "GGML"), "magic: wanted GGUF, got GGML");
    v.refuses(whole.spoiled("magic", "gguf"), "magic: wanted GGUF, got gguf");
    for (const std::uint64_t version : {0u, 1u, 4u, 0x00010003u})
        v.refuses(whole.spoiled("version", version), "version: wanted 2 or 3, got " + std::to_string(version));
    for (const std::uint64_t version : {0x02000000u, 0x03000000u})
        v.refuses(whole.spoiled("version", version), "version: wanted a little-endian file, got a big-endian one");
}

TEST_CASE("corrupt: keys and values") {
    const victim v;
    const raw_gguf whole = sample_gguf();
    CHECK_FALSE(v.open(keyed("a.key")));
    CHECK_FALSE(v.open(keyed(std::string(65535, 'k'))));
    v.refuses(keyed(""), "wanted a name of 1 to 65535 bytes, got 0");
    v.refuses(keyed(std::string(65536, 'k')), "wanted a name of 1 to 65535 bytes, got 65536");
    v.refuses(keyed(std::string_view("a\0b", 3)), "key a\\x00b: wanted text, got a NUL");
    v.refuses(keyed("a\xc3("), "key a\\xc3(: wanted UTF-8");
    v.refuses(whole.spoiled("a.uint8 key", "b.uint8"), "key b.uint8: wanted unique keys, got this one twice");
    v.refuses(whole.spoiled("a.uint8 type", 13), "key a.uint8: wanted a value type of 0 to 12, got 13");
    v.refuses(whole.spoiled("b.uint8 element type", 13), "key b.uint8: wanted a value type of 0 to 12, got 13");
    v.refuses(whole.spoiled("b.uint8 element type", 9),
              "key b.uint8: wanted a value type of 0 to 12, got an array of arrays");
    v.refuses(whole.spoiled("a.bool", 2), "key a.bool: wanted a bool of 0 or 1, got 2");
    v.refuses(whole.spoiled("b.bool element", 255), "key b.bool: wanted a bool of 0 or 1, got 255");
    v.refuses(whole.spoiled("b.float64 count", std::uint64_t{1} << 61),
              "key b.float64: wanted 2305843009213693952 entries");
    v.refuses(whole.spoiled("general.alignment", 0), "key general.alignment: wanted a power of two, got 0");
    v.refuses(whole.spoiled("general.alignment", 48), "key general.alignment: wanted a power of two, got 48");
    v.refuses(raw_gguf(0, 1).entry("general.alignment", 10, std::uint64_t{32}).bytes(),
              "key general.alignment: wanted uint32, got uint64");
    v.refuses(raw_gguf(0, 1).bytes(), "metadata count: wanted 1 entries at offset 24, got 0 bytes");
    v.refuses(raw_gguf(1, 0).bytes(), "tensor count: wanted what 0 bytes can hold, got 1");
}

TEST_CASE("corrupt: names of tensors") {
    const victim v;
    CHECK_FALSE(v.open(named("a.weight")));
    CHECK_FALSE(v.open(named(std::string(63, 'n'))));
    CHECK_FALSE(v.open(named("gewicht.\xc3\xa4")));
    v.refuses(named(""), "wanted a name of 1 to 63 bytes, got 0");
    v.refuses(named(std::string(64, 'n')), "wanted a name of 1 to 63 bytes, got 64");
    v.refuses(named(std::string_view("a\0b", 3)), "tensor a\\x00b: wanted text, got a NUL");
    // A stray byte, a cut character, an overlong slash, a surrogate, and a number above all characters.
    for (const char* bytes :
         {"\x80", "a\xe2\x82", "\xc0\xaf", "\xe0\x80\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xff"})
        v.refuses(named(bytes), "wanted UTF-8, got other bytes");
    v.refuses(sample_gguf().spoiled("other name", "first"), "tensor first: wanted unique names, got this one twice");
}

TEST_CASE("corrupt: shapes, types and places of tensors") {
    const victim v;
    const raw_gguf whole = sample_gguf();
    const std::uint64_t huge = std::uint64_t{1} << 40;
    CHECK_FALSE(v.open(shaped({32, 32}, 0)));
    CHECK_FALSE(v.open(shaped({}, 0)));
    v.refuses(whole.spoiled("third rank", 5), "tensor third: wanted 0 to 4 dimensions, got 5");
    v.refuses(shaped({0}, 0), "tensor t: dimension 0 of 1: wanted at least 1, got 0");
    v.refuses(shaped({8, 0, 2}, 0), "tensor t: dimension 1 of 3: wanted at least 1, got 0");
    v.refuses(shaped({huge, huge}, 0), "tensor t: wanted fewer than 2^59 weights");
    v.refuses(shaped({~std::uint64_t{0}}, 0), "tensor t: wanted fewer than 2^59 weights");
    v.refuses(shaped({std::uint64_t{1} << 32, 1, std::uint64_t{1} << 32}, 2),
              "tensor t: wanted fewer than 2^59 weights");
    v.refuses(shaped({33}, 8), "tensor t: wanted rows of a multiple of 32 weights for Q8_0, got 33");
    v.refuses(shaped({1025}, 0), "tensor t: wanted 4100 bytes at offset 64, got a file of 4160");
    for (const std::uint32_t type : {4u, 5u, 31u, 32u, 33u, 36u, 37u, 38u, 43u, 0xffffffffu, 0x7e550000u})
        v.refuses(shaped({256}, type), "tensor t: wanted a known tensor type, got " + std::to_string(type));
    v.refuses(whole.spoiled("first offset", 32), "tensor first: wanted offset 0, got 32");
    v.refuses(whole.spoiled("other offset", 0), "tensor other: wanted offset 96, got 0");
    v.refuses(whole.spoiled("other offset", 128), "tensor other: wanted offset 96, got 128");
    v.refuses(whole.spoiled("third offset", ~std::uint64_t{31}),
              "tensor third: wanted offset 256, got 18446744073709551584");
}

TEST_CASE("corrupt: a false count in a huge file takes no memory") {
    const support::scratch_dir dir;
    const auto path = dir / "huge.gguf";
    const auto open_huge = [&](std::string_view header) {
        support::write_text(path, header);
        std::filesystem::resize_file(path, std::uintmax_t{1} << 40);  // a hole, on disk as small as its header
        support::reset_largest_allocation();
        const std::string message = support::message_of<error>([&] { gguf::reader{path}; });
        CAPTURE(message);
        CHECK(message.find(path.string() + ": ") == 0);
        CHECK(support::largest_allocation() < 128 * 1024);
    };
    const std::uint64_t many = std::uint64_t{1} << 33;
    open_huge(raw_gguf(many, 0).bytes());
    open_huge(raw_gguf(0, many).bytes());
    open_huge(raw_gguf(0, 1).key("text", 8).number("length", many).bytes());
    open_huge(raw_gguf(0, 1).key("list", 9).number("type", std::uint32_t{8}).number("count", many).bytes());
    open_huge(raw_gguf(0, 1).key("list", 9).number("type", std::uint32_t{0}).number("count", many).bytes());
    open_huge(raw_gguf(std::uint64_t{1} << 20, 0).bytes());
    open_huge(raw_gguf(0, std::uint64_t{1} << 20).bytes());
}
