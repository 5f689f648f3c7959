// Files of text as they are found.
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include <doctest/doctest.h>

#include "support/support.hpp"
#include "tessera/text/text_file.hpp"

using namespace tessera;
using namespace std::string_literals;
using support::has;

namespace {

std::string utf16(std::u16string_view text, bool is_little) {
    std::string out = is_little ? "\xff\xfe" : "\xfe\xff";
    for (const char16_t unit : text) {
        const char high = static_cast<char>(unit >> 8), low = static_cast<char>(unit & 0xff);
        out += is_little ? low : high;
        out += is_little ? high : low;
    }
    return out;
}

std::string plain(const std::string& bytes, text::text_changes* changes = nullptr) {
    return text::as_plain_text(bytes, "t.txt", changes).value_or(bytes);
}

std::string refusal(const std::string& bytes) {
    return support::message_of<error>([&] { (void)text::as_plain_text(bytes, "t.txt"); });
}

}  // namespace

TEST_CASE("text files: byte order marks are dropped and line ends converted, nothing else changes") {
    CHECK_FALSE(text::as_plain_text("plain é\n\rtext\t\f\x1b[0m", "t.txt").has_value());
    CHECK_FALSE(text::as_plain_text("", "t.txt").has_value());
    CHECK(plain("\xef\xbb\xbfone") == "one");
    text::text_changes changes;
    CHECK(plain("\xef\xbb\xbf"
                "a\r\nb\r\r\nc\r",
                &changes) == "a\nb\r\nc\r");
    CHECK(changes.had_carriage_returns);
    CHECK_FALSE(changes.was_utf16);
    for (const bool is_little : {true, false}) {
        text::text_changes from;
        CHECK(plain(utf16(u"h\u00e9\r\n\U0001f600", is_little), &from) == "hé\n😀");
        CHECK(from.was_utf16);
        CHECK(
            has(refusal(utf16(u"ab\xd83dz", is_little)), "t.txt: wanted UTF-16, got half a surrogate pair at byte 6"));
        CHECK(has(refusal(utf16(u"a\xde00", is_little)), "half a surrogate pair at byte 4"));
        CHECK(has(refusal(utf16(u"a\xd83d", is_little)), "half a surrogate pair at byte 4"));
        CHECK(has(refusal(utf16(u"a", is_little) + "b"), "an odd number of bytes: 5"));
        CHECK(has(refusal(utf16(u"a\0b"s, is_little)), "binary"));
    }
}

TEST_CASE("text files: what is not text is refused, naming file, byte and line") {
    CHECK(has(refusal("one\ntw\xe9 three"), "t.txt: wanted text in UTF-8, got the byte 0xe9, as in Latin-1"));
    CHECK(has(refusal("one\ntw\xe9 three"), "at byte 6 (line 2)"));
    CHECK(has(refusal("one\xf0\x9f\x98"), "at byte 3 (line 1)"));
    CHECK(has(refusal("a\0b\0c\0"s), "got a zero, as in UTF-16 without a byte order mark, at byte 1"));
    CHECK(has(refusal("much text and then\0"s + "more text"), "got a zero, as in binary data, at byte 18"));
    CHECK(has(refusal("\xff\xfe\0\0a\0\0\0"s), "got UTF-32"));
    CHECK(has(refusal("\0\0\xfe\xff\0\0\0a"s), "got UTF-32"));
    CHECK(has(refusal("GGUF\3\0\0\0"s), "got a GGUF model"));
    CHECK(has(refusal("\x1f\x8b\b\0"s), "got a gzip archive"));
    CHECK(has(refusal("PK\x03\x04"), "got a zip archive"));
    CHECK(has(refusal("%PDF-1.7"), "got a PDF document"));
    CHECK_FALSE(text::as_plain_text("PK, said the goalkeeper", "t.txt").has_value());
}

TEST_CASE("text files: any file is read as plain text, up to a size") {
    const support::scratch_dir folder;
    support::write_text(folder / "t.txt",
                        "\xef\xbb\xbf"
                        "a\r\n");
    CHECK(text::text_file(folder / "t.txt").text() == "a\n");
    support::write_text(folder / "plain.txt", "plain\n");
    CHECK(text::text_file(folder / "plain.txt").text() == "plain\n");
    CHECK(has(support::message_of<error>([&] { (void)text::text_file(folder / "plain.txt", 5); }),
              "plain.txt: wanted a text of at most 5 bytes, got 6; take a part of it"));
    CHECK(
        has(support::message_of<error>([&] { (void)text::text_file(folder / "none.txt"); }), "none.txt: cannot open"));
}
