// Files that are told by their first bytes.
#include <string_view>

#include <doctest/doctest.h>

#include "support/support.hpp"
#include "tessera/core/foreign_file.hpp"

namespace {

std::string_view kind_of(std::string_view text) {
    return tessera::recognize_foreign({reinterpret_cast<const std::byte*>(text.data()), text.size()});
}

}  // namespace

TEST_CASE("kinds of files are told by their first bytes, and by no others") {
    using namespace std::string_view_literals;
    CHECK(kind_of("") == "an empty file");
    CHECK(kind_of("version https://git-lfs.github.com/spec/v1\n").starts_with("a Git LFS pointer"));
    CHECK(kind_of("\r\n\t <HTML>").starts_with("a web page"));
    CHECK(kind_of("{\"error\":\"Repository not found\"}").starts_with("a web page or a server's answer"));
    CHECK(kind_of("PK\x03\x04..."sv).starts_with("a ZIP archive"));
    CHECK(kind_of("\x80\x04\x95"sv).starts_with("a pickle"));
    CHECK(kind_of("GGUF\3\0\0\0"sv) == "a GGUF file");
    CHECK(kind_of("\x40\0\0\0\0\0\0\0{\"__metadata__\""sv) == "a safetensors file");
    for (const std::string_view other :
         {"PK"sv, "{}"sv, "{\"errors\": 1}"sv, "version 2"sv, "\x40\0\0\0\0\1\0\0{"sv, "html"sv, "   "sv, "\0"sv})
        CHECK(kind_of(other) == "");

    CHECK_NOTHROW(tessera::refuse_foreign(tessera::byte_view{}.first(0), "x", "an empty file"));
    CHECK(support::message_of<tessera::error>([] { tessera::refuse_foreign({}, "a.json", "JSON"); }) ==
          "a.json: wanted JSON, got an empty file");
}
