// Templates: what Jinja2 renders, what it refuses, and what an engine for files from strangers must not do.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "jinja/small_chat.hpp"
#include "support/support.hpp"
#include "tessera/jinja/from_json.hpp"
#include "tessera/jinja/text_template.hpp"

using namespace tessera;
using json = nlohmann::ordered_json;
using jinja::raised_error;
using jinja::text_template;
using support::has;

namespace {

// 2025-01-05T07:08:09, a Sunday.
std::tm golden_time() {
    std::tm now{};
    now.tm_year = 125;
    now.tm_mday = 5;
    now.tm_hour = 7;
    now.tm_min = 8;
    now.tm_sec = 9;
    now.tm_yday = 4;
    return now;
}

std::string render(std::string_view source, const json& variables = json::object()) {
    return jinja::render(text_template(source), variables, {.now = golden_time()});
}

std::string failure(std::string_view source, const json& variables = json::object()) {
    return support::message_of<error>([&] { render(source, variables); });
}

struct rendering {
    std::string_view source;
    std::string_view wanted;
};

const json people = json::parse(R"({
    "s": "Hello, Wörld! ", "none": null, "n": 42, "l": [3, 1, 2], "words": ["b", "A", "c"],
    "d": {"b": 1, "a": {"k": [1, null, true]}, "C": 2.0},
    "ms": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yo", "x": 2}, {"role": "user", "content": "it's"}]
})");

// What Jinja2 3.1 prints in the set-up of transformers.
constexpr rendering expressions[] = {
    {"{{ 7 // 2 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 7 / 2 }} {{ 6 / 2 }} {{ 2 ** 10 }} {{ 2 ** 3 ** 2 }}",
     "3 -4 2 3.5 3.0 1024 64"},
    {"{{ 1e16 }} {{ 1e15 }} {{ 0.00001 }} {{ 1.1 + 2.2 }} {{ 100.0 }}",
     "1e+16 1000000000000000.0 1e-05 3.3000000000000003 100.0"},
    {"{{ 1 < 2 < 3 }} {{ [1] == (1,) }} {{ 1 == 1.0 }} {{ true + 1 }} {{ q == r }} {{ q is defined }}",
     "True False True 2 True False"},
    {"{{ 'a' in 'abc' and 4 not in l }} {{ none or 'x' }} {{ 'a' if not l }}|{{ (1, 'a') }}{{ (1,) }}",
     "True x |(1, 'a')(1,)"},
    {"{{ s[7:10] }}{{ s[-3] }}{{ l[::-1] }}{{ l[1:] }}{{ l[9] is defined }}{{ s[:5][::-1] }}",
     "Wörd[2, 1, 3][1, 2]FalseolleH"},
    {"{{ 1 ~ none ~ true ~ 1.5 ~ q }}{{ -n|abs }}{{ 'a' 'b' }}{{ '\\u00e9\\x41\\n\\q'|length }}", "1NoneTrue1.542ab5"},
    {"{{ d }}", "{'b': 1, 'a': {'k': [1, None, True]}, 'C': 2.0}"},
    {"{{ ['a\"b', \"it's\", '\\n\\\\'] }}", "['a\"b', \"it's\", '\\n\\\\']"},
    {"{{ d|tojson }}", R"({"b": 1, "a": {"k": [1, null, true]}, "C": 2.0})"},
    {"{{ {'x': [1, {}], 'é': '<\"'}|tojson(indent=2) }}", "{\n  \"x\": [\n    1,\n    {}\n  ],\n  \"é\": \"<\\\"\"\n}"},
    {"{{ 'é😀'|tojson(ensure_ascii=true) }}", R"("\u00e9\ud83d\ude00")"},
    {"{{ 'a,b,c'.split(',', 1) }}{{ ' a  b '.split() }}{{ 'a b c'.rsplit(None, 1) }}{{ 'xxa'.lstrip('x') }}",
     "['a', 'b,c']['a', 'b']['a b', 'c']a"},
    {"{{ 'abc'.replace('', '-') }}{{ 'aaa'.replace('a', 'b', 2) }}{{ 'abc'.startswith(('x', 'a')) }}{{ 'ab'.center(5, "
     "'*') }}",
     "-a-b-c-bbaTrue**ab*"},
    {"{{ '%05.1f|%-3s|%x' % (2.55, 'a', 255) }} {{ '{} {x!r} {:.2f}'.format(1, 2.5, x='y') }}",
     "002.5|a  |ff 1 'y' 2.50"},
    {"{{ ms|map(attribute='role')|unique|list }}{{ ms|selectattr('x', 'defined')|map(attribute='x')|first }}",
     "['user', 'assistant']2"},
    {"{{ l|sort(reverse=true) }}{{ words|sort|join }}{{ d|dictsort|map('first')|list }}{{ l|sum }}{{ words|max }}",
     "[3, 2, 1]Abc['a', 'b', 'C']6c"},
    {"{{ [1, 2, 3]|batch(2, 0)|list }}{{ [1, 2, 3]|slice(2)|list }}{{ '42.9'|int }}{{ 'x'|int(5) }}{{ 2.5|round }}",
     "[[1, 2], [3, 0]][[1, 2], [3]]4252.0"},
    {"{{ q|default('u') }}{{ none|default('u') }}{{ ''|default('u', true) }}{{ [0, 1]|select|list }}{{ l|reject('gt', "
     "1)|list }}",
     "uNoneu[1][1]"},
    {"{{ 'ÀÉß ñ'|upper }}{{ 'ЖУК'|lower }}{{ \"they're x-y\"|title }}{{ 'a\nb'|indent(2, true) }}",
     "ÀÉSS ÑжукThey're X-Y  a\n  b"},
    {"{{ strftime_now('%d %b %Y %H:%M %A') }}{{ dict(a=1, b=2) }}{{ range(5, 0, -2)|list }}",
     "05 Jan 2025 07:08 Sunday{'a': 1, 'b': 2}[5, 3, 1]"},
};

constexpr rendering statements[] = {
    {"{% for a in l if a > 1 %}{{ loop.index }}{{ loop.last }}{{ a }}{% else %}none{% endfor %}", "1False32True2"},
    {"{% for a in q %}x{% else %}empty{% endfor %}{% for k, (a, b) in [(1, (2, 3))] %}{{ k }}{{ a }}{{ b }}{% endfor "
     "%}",
     "empty123"},
    {"{% for a in range(9) %}{% if a == 1 %}{% continue %}{% elif a == 3 %}{% break %}{% endif %}{{ a }}{% endfor %}",
     "02"},
    {"{% for a in l %}{{ loop.previtem }}<{{ loop.nextitem }}{{ loop.cycle('o', 'e') }}{{ loop.revindex }};{% endfor "
     "%}",
     "<1o3;3<2e2;1<o1;"},
    {"{% set v = 1 %}{% for a in l %}{% set v = a %}{{ v }}{% endfor %}{{ v }}{% if true %}{% set v = 9 %}{% endif "
     "%}{{ v }}",
     "31219"},
    {"{% set ns = namespace(a=0) %}{% for a in l %}{% set ns.a = ns.a + a %}{% endfor %}{{ ns.a }}{{ ns.zz is defined "
     "}}",
     "6False"},
    {"{% macro m(a, b=2) %}{{ a }}-{{ b }}{% endmacro %}{{ m(1) }} {{ m(b=5, a=4) }} {{ m() }} {{ m(1)|length }}",
     "1-2 4-5 -2 3"},
    {"{% macro r(n) %}{{ n }}{% if n %}{{ r(n - 1) }}{% endif %}{% endmacro %}{{ r(3) }}{% macro v() %}{{ varargs }}{{ "
     "kwargs }}{% endmacro %}{{ v(1, k=2) }}",
     "3210(1,){'k': 2}"},
    {"{% set x = 5 %}{% macro m() %}{{ x }}{% endmacro %}{% set x = 6 %}{{ m() }}{% for i in l %}{% macro k() %}{{ i "
     "}}{% endmacro %}{{ k() }}{% endfor %}",
     "6312"},
    {"{% macro w() %}<{{ caller('p') }}>{% endmacro %}{% call(y) w() %}{{ y }}{{ n }}{% endcall %}", "<p42>"},
    {"{% set b | upper %}block{% endset %}{{ b }}{% filter replace('a', 'b') %}aa{% endfilter %}{% with a = 1 %}{{ a "
     "}}{% endwith %}{{ a }}",
     "BLOCKbb1"},
    {"{% generation %}g{% set inner = 1 %}{% endgeneration %}{{ inner is defined }}{% set a, b = [1, 2] %}{{ a + b }}",
     "gFalse3"},
    {"{% set l2 = [] %}{% for a in l %}{{ l2.append(a) or '' }}{% endfor %}{{ l2 }}{{ d.get('zz', 5) }}{{ d.a.k.0 }}{{ "
     "d.items()|list|length }}",
     "[3, 1, 2]513"},
    {"a\n  {% if true %}\n  x\n  {% endif %}\ny\n", "a\n  x\ny"},
    {"{% for a in l -%}\n  {{ a }},\n{%- endfor %}\n\n", "3,1,2,"},
    {"a {#- c -#} \n b {%+ if true %} c{% endif +%}\n d {{- 'e' -}} f", "ab  c\n def"},
    {"x {%- raw %} {{ a }} {% endraw -%} y\r\nz{% if true %}\r\nw{% endif %}\r\n", "x {{ a }} y\nzw"},
    {"{{ '}}' }}{{ {'a': {'b': 1}}['a']['b'] }}{{ '{%' }}", "}}1{%"},
};

}  // namespace

TEST_CASE("expressions render as in Jinja2") {
    for (const rendering& r : expressions) CHECK_MESSAGE(render(r.source, people) == r.wanted, r.source);
}

TEST_CASE("statements and white space render as in Jinja2") {
    for (const rendering& r : statements) CHECK_MESSAGE(render(r.source, people) == r.wanted, r.source);
}

TEST_CASE("published templates render every golden conversation") {
    const auto golden = support::shared("golden/chat");
    if (!golden) return;
    const json index = json::parse(support::read_text(*golden / "index.json"));
    std::size_t count = 0;
    for (const json& entry : index) {
        const auto folder = *golden / entry["name"].get<std::string>();
        const text_template compiled(support::read_text(folder / "template.jinja"), entry["name"]);
        const json cases = json::parse(support::read_text(folder / "cases.json"));
        for (const json& c : cases) {
            INFO(entry["name"].get<std::string>(), " ", c["name"].get<std::string>());
            const auto rendered = [&] { return jinja::render(compiled, c["vars"], {.now = golden_time()}); };
            if (c.contains("rendered")) {
                CHECK(rendered() == c["rendered"].get<std::string>());
            } else {
                try {
                    static_cast<void>(rendered());
                    FAIL_CHECK("wanted the template to refuse");
                } catch (const raised_error& refusal) {
                    CHECK(refusal.message() == c["raises"].get<std::string>());
                }
            }
            ++count;
        }
    }
    CHECK(count >= 869);
}

// Where two engines disagree, what Python's does counts; changing a list is the one thing that we allow and it does
// not.
TEST_CASE("where engines disagree, the result is that of Python") {
    const auto golden = support::shared("golden/chat");
    if (!golden) return;
    for (const json& c : json::parse(support::read_text(*golden / "disagreements.json"))) {
        const auto name = c["template"].get<std::string>();
        INFO(name, " ", c["case"].get<std::string>());
        const text_template compiled(support::read_text(*golden / name / "template.jinja"), name);
        const auto rendered = [&] { return jinja::render(compiled, c["vars"], {.now = golden_time()}); };
        if (c["python"].contains("ok"))
            CHECK(rendered() == c["python"]["ok"].get<std::string>());
        else if (!has(c["python"].dump(), "SecurityError"))
            CHECK_THROWS_AS(static_cast<void>(rendered()), error);
    }
}

TEST_CASE("variables are values of the engine; JSON is one way to get them") {
    const text_template source("{{ name }}: {{ numbers|sum }}{{ numbers.append(4) or numbers }}");
    const auto numbers = [] { return jinja::make_sequence({std::int64_t{1}, std::int64_t{2}}); };
    CHECK(source.render({{"name", std::string("x")}, {"numbers", numbers()}}) == "x: 3[1, 2, 4]");
    CHECK(jinja::render(source, {{"name", "x"}, {"numbers", {1, 2}}}) == "x: 3[1, 2, 4]");
    CHECK_THROWS_WITH_AS(static_cast<void>(jinja::render(source, json::array())),
                         "template: wanted an object of variables, got array", error);

    const auto nested = [&](std::size_t levels) {
        jinja::value v = numbers();
        for (std::size_t level = 1; level < levels; ++level) v = jinja::make_sequence({v});
        return text_template("{{ v|length }}").render({{"v", v}}, {.bounds = {.value_depth = 7}});
    };
    CHECK(nested(7) == "1");
    CHECK_THROWS_WITH_AS(nested(8), "template: variable v: wanted lists and mappings at most 7 deep, got deeper ones",
                         error);
}

TEST_CASE("errors name line and column") {
    CHECK(failure("a\n {{ q.x }}") == "template: line 2, column 6: 'q' is undefined");
    CHECK(has(failure("{{ none.x.y }}"), "'None' has no attribute 'x'"));
    CHECK(has(failure("{{ 'a' + 1 }}"), "column 10: can only concatenate str (not \"int\") to str"));
    CHECK(has(failure("{{ 'é' ~ 1/0 }}"), "division by zero"));
    CHECK(has(failure("{% if true %}x"), "line 1, column 4: wanted {% endif %}"));
    CHECK(has(failure("x\n\n{% unknown %}"), "line 3, column 4: wanted a statement, got unknown"));
    CHECK(has(failure("{{ (1 }}"), "wanted"));
    CHECK(has(failure("{{ 'abc"), "wanted ' to end the string"));
    CHECK(has(failure("{# a"), "wanted #}"));
    CHECK(has(failure("{{ 1|nofilter }}"), "No filter named 'nofilter'"));
    CHECK(has(failure("{{ 1 is notest }}"), "wanted the name of a test, got notest"));
    CHECK(has(failure("{{ 'a'|join(1, 2, 3) }}"), "wanted at most 2 arguments, got 3"));
    CHECK(has(failure("{{ 9223372036854775807 + 1 }}"), "wanted integers of 64 bits"));
    CHECK(has(failure("\xff"), "wanted UTF-8"));
    CHECK(has(failure("{{ a }}", {{"a", 18446744073709551615u}}), "variable a: wanted integers of 64 bits"));
    CHECK_THROWS_WITH_AS(render("{{ raise_exception('no ' ~ 1) }}"),
                         "template: line 1, column 19: the template refuses: no 1", raised_error);
}

TEST_CASE("hostile templates stay within the limits") {
    const auto limited = [](std::string_view source) {
        return support::message_of<error>([&] {
            static_cast<void>(jinja::render(text_template(source), json::object(),
                                            {.bounds = {.steps = 1 << 20, .output_bytes = 1 << 12}}));
        });
    };
    CHECK(has(limited("{% for a in range(10000000000) %}{% endfor %}"), "steps"));
    CHECK(has(limited("{% for a in range(3000) %}{% for b in range(3000) %}{% endfor %}{% endfor %}"), "steps"));
    CHECK(has(
        limited(
            "{% set ns = namespace(s='aaaaaaaa') %}{% for a in range(99) %}{% set ns.s = ns.s + ns.s %}{% endfor %}"),
        "steps"));
    CHECK(has(limited("{{ 'a' * 10000000000 }}"), "steps"));
    CHECK(has(limited("{{ 'a' * 10000 }}"), "output of at most 4096 bytes"));
    CHECK(has(limited("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}"), "levels"));
    CHECK(has(limited("{% set l = [] %}{{ l.append(l) }}{{ l }}"), "levels"));
    CHECK(has(limited("{% set ns = namespace(l=[]) %}{% for a in range(999) %}{% set ns.l = [ns.l] %}{% endfor %}"),
              "deep"));
    CHECK(has(limited("{{ 'a'|map('map', 'map', 'map', 'upper')|list }}{% set ns = namespace() %}{% set ns.me = ns "
                      "%}{{ 'a'|center(9999999) }}"),
              "steps"));
    CHECK(has(limited("{{ " + std::string(100000, '(') + "1" + std::string(100000, ')') + " }}"), "levels of nesting"));
    CHECK(has(limited("{{ " + std::string(100000, '-') + "1 }}"), "levels of nesting"));
    std::string nested;
    for (int i = 0; i < 1000; ++i) nested += "{% if true %}";
    CHECK(has(limited(nested), "levels of nesting"));
}

// Mutations of templates that exercise every construct: an error or a text, but no crash and no endless loop. Values
// that come to hold themselves are set free, which sanitizers watch.
TEST_CASE("mutated templates render or fail, and do no more") {
    std::vector<std::string> seeds{support::small_chat()};
    for (const rendering& r : statements) seeds.emplace_back(r.source);
    for (const rendering& r : expressions) seeds.emplace_back(r.source);
    json variables = people;
    variables["messages"] = variables["ms"];
    std::mt19937 random(7);
    const auto below = [&](std::size_t n) { return static_cast<std::size_t>(random() % std::max<std::size_t>(n, 1)); };
    std::size_t texts = 0, errors = 0;
    for (int round = 0; round < 4000; ++round) {
        std::string source = seeds[below(seeds.size())];
        for (std::size_t edits = 1 + below(3); edits > 0; --edits) {
            const std::string& donor = seeds[below(seeds.size())];
            const std::size_t from = below(donor.size()), at = below(source.size());
            switch (below(4)) {
                case 0: source.erase(at, 1 + below(6)); break;
                case 1: source.insert(at, donor, from, 1 + below(24)); break;
                case 2: source.replace(at, 1 + below(12), donor, from, 1 + below(12)); break;
                default: source.insert(at, 1, "{}%#|()[]'\".,:-+*/~=<>\\ \n1a"[below(28)]);
            }
        }
        try {
            static_cast<void>(jinja::render(text_template(source), variables,
                                            {.bounds = {.steps = 1 << 18, .output_bytes = 1 << 16}}));
            ++texts;
        } catch (const error&) {
            ++errors;
        }
    }
    CHECK(texts > 400);
    CHECK(errors > 400);
}
