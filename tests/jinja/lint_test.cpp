// The linter of templates.
#include <string>
#include <string_view>

#include <doctest/doctest.h>

#include "jinja/small_chat.hpp"
#include "support/support.hpp"
#include "tessera/jinja/lint.hpp"
#include "tessera/jinja/text_template.hpp"

using namespace tessera;
using jinja::text_template;
using support::has;

TEST_CASE("lint: constructs that llama.cpp refuses or takes otherwise are found") {
    const auto found = [](std::string_view source) { return jinja::lint(text_template(source)); };
    const auto split = found("{{ x }}\n{% set a = x.split('</think>', 1)[0] %}");
    REQUIRE(split.size() == 1);
    CHECK(split[0].line == 2);
    CHECK(split[0].column == 13);
    CHECK(has(split[0].problem, "split"));
    CHECK(has(split[0].rewrite, "x.split(s)[1:]|join(s)"));
    for (const std::string_view source : {"{{ x.split() }}",
                                          "{{ x.replace('a', 'b', 1) }}",
                                          "{{ x|unique }}",
                                          "{{ x|map('upper')|join }}",
                                          "{{ ', '.join(x) }}",
                                          "{{ x.startswith(('a', 'b')) }}",
                                          "{% with a = 1 %}{% endwith %}",
                                          "{{ x.append(1) }}",
                                          "{{ x[::2] }}",
                                          "{{ 7 // 2 }}",
                                          "{{ '%s' % x }}",
                                          "{% if x|selectattr('a') %}{% endif %}",
                                          "{{ x|selectattr('a')|length }}",
                                          "{{ x|from_json }}",
                                          "{{ -x }}",
                                          "{{ x|tojson(sort_keys=true) }}",
                                          "{{ x.find('a') }}",
                                          "{{ x|sum }}",
                                          "{{ x|indent(4) }}",
                                          "{{ x|tojson(ensure_ascii=true) }}",
                                          "{{ 1 < x < 3 }}",
                                          "{% set a | trim %}b{% endset %}",
                                          "{% for a, (b, c) in x %}{% endfor %}",
                                          "{% macro m(a=x|max) %}{% endmacro %}"})
        CHECK_MESSAGE(found(source).size() == 1, source);
    for (const std::string_view source :
         {"{{ x.split(',')[-1] }}", "{{ x[::-1] }}", "{{ x|map(attribute='a')|list|length }}",
          "{{ x|tojson(indent=4, ensure_ascii=False) }}", "{% if x|selectattr('a', 'equalto', 1)|list %}{% endif %}",
          "{% generation %}{{ x.strip() }}{% endgeneration %}"})
        CHECK_MESSAGE(found(source).empty(), source);
    CHECK(found(support::small_chat()).empty());
}

TEST_CASE("lint: findings in published templates are those on which engines are known to disagree") {
    const auto golden = support::shared("golden/chat");
    if (!golden) return;
    const auto found = [&](const char* name) {
        return jinja::lint(text_template(support::read_text(*golden / name / "template.jinja"), name));
    };
    for (const char* name : {"kimi-k2-instruct", "deepseek-v3.1", "deepseek-v3.2", "functionary-v3.2"})
        CHECK_MESSAGE(!found(name).empty(), name);
    for (const char* name : {"llama-3-8b-instruct", "qwen3-0.6b", "phi-4", "gemma-2-2b-it"})
        CHECK_MESSAGE(found(name).empty(), name);
    REQUIRE(found("deepseek-v3.2").size() == 1);
    CHECK(found("deepseek-v3.2")[0].line == 90);
    CHECK(has(found("deepseek-v3.2")[0].problem, "no filter from_json"));
}
