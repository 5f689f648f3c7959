// JSON within limits, and as Python writes it.
#include <string>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "support/support.hpp"
#include "tessera/core/error.hpp"
#include "tessera/json/parse.hpp"
#include "tessera/json/text.hpp"

using namespace tessera;
using support::has;

namespace {

std::string refusal(const std::string& text, const json_limits& limits = {}) {
    return support::message_of<error>([&] { static_cast<void>(parse_json(text, "x.json", limits)); });
}

std::string nested(std::size_t levels) { return std::string(levels, '[') + std::string(levels, ']'); }

}  // namespace

TEST_CASE("JSON is read up to a depth, by either reader") {
    CHECK(parse_json(nested(64), "x.json").is_array());
    CHECK(has(refusal(nested(65)), "x.json: wanted JSON of at most 64 levels, got more"));
    CHECK(has(refusal("[[1]]", {.depth = 1}), "at most 1 levels"));
    CHECK(find_json(nested(64)));
    CHECK_FALSE(find_json(nested(65)));
    CHECK_FALSE(find_json("{"));
    CHECK_FALSE(find_json("\"\xff\""));
}

TEST_CASE("a key that an object has twice is refused, or the last one counts") {
    const std::string twice = R"({"a": 1, "b": {"a": 2}, "a": 3})";
    CHECK(has(refusal(twice), "x.json: wanted every key once, got a twice"));
    CHECK(parse_json(twice, "x.json", {.keys = repeated_keys::last_counts})["a"] == 3);
    const auto ordered = find_json(R"({"b": 1, "a": 2, "b": 3})");
    REQUIRE(ordered);
    CHECK(ordered->dump() == R"({"b":3,"a":2})");
}

TEST_CASE("Python's numbers are strings where they are allowed, and no JSON elsewhere") {
    const std::string python = R"({"a": [NaN, -Infinity, Infinity], "b": "NaN \" Infinity"})";
    CHECK(has(refusal(python), "x.json: wanted JSON"));
    CHECK(parse_json(python, "x.json", {.numbers = json_numbers::as_python}).dump() ==
          R"({"a":["NaN","-Infinity","Infinity"],"b":"NaN \" Infinity"})");
}

TEST_CASE("JSON text is UTF-8 or ASCII, whatever the strings hold") {
    const nlohmann::ordered_json value{{"b", "\xc3\xa9\xff"}, {"a", 1}};
    CHECK(json_text(value, json_characters::all) == "{\"b\":\"\xc3\xa9\xef\xbf\xbd\",\"a\":1}");
    CHECK(json_text(value, json_characters::ascii, 1) == "{\n \"b\": \"\\u00e9\\ufffd\",\n \"a\": 1\n}");
}
