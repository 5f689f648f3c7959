// What templates are charged for bounds what they do, for every built-in and every operator, whatever they are
// given.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "jinja/work_counter.hpp"
#include "support/support.hpp"
#include "tessera/core/text_search.hpp"
#include "tessera/jinja/evaluator.hpp"
#include "tessera/jinja/parser.hpp"

using namespace tessera;
using namespace tessera::jinja;

namespace {

constexpr std::size_t long_text = 1 << 14, long_list = 1 << 10;
constexpr std::uint64_t most_steps = 1 << 17;

// A charge is worth a handful of blocks of instructions, and a call takes some whatever it is given.
constexpr std::uint64_t work_per_step = 40, work_per_call = 20'000;

// Searching this in texts of one letter takes a product of both lengths where it is done by comparing at every place.
std::string nearly_all(char letter) { return std::string(long_text / 2, letter) + 'b'; }

value list_of(std::size_t count, auto&& make) {
    std::vector<value> items;
    for (std::size_t i = 0; i < count; ++i) items.push_back(make(i));
    return make_sequence(std::move(items));
}
std::string numbered(std::size_t i) { return "same beginning of all of them " + std::to_string(i); }

// Texts, lists and mappings that are awkward for someone. The longest list is too long to go through: for what should
// not.
std::vector<value> large_values() {
    const auto number = [](std::size_t i) { return value(static_cast<std::int64_t>(i * 7919 % 1009)); };
    std::vector<std::pair<value, value>> entries, long_keys;
    for (std::size_t i = 0; i < long_list; ++i) entries.emplace_back(value(numbered(i)), number(i));
    for (std::size_t i = 0; i < 16; ++i)
        long_keys.emplace_back(value(std::string(long_text, 'a') + std::to_string(i)), number(i));
    value shared = std::int64_t{1};
    for (int level = 0; level < 60; ++level) shared = make_sequence({shared, shared});
    std::string formats, braces;
    while (formats.size() < long_text) formats += "%9d%%";
    while (braces.size() < long_text) braces += "{{{}}}";
    return {std::string(long_text, 'a'),
            nearly_all('a'),
            std::string(long_text, ' '),
            std::string(long_text, '\n'),
            std::string(long_text, '9'),
            formats,
            braces,
            list_of(long_list, number),
            list_of(32 * long_list, number),
            list_of(long_list, [](std::size_t i) { return value(numbered(i)); }),
            list_of(24, [](std::size_t) { return value(nearly_all('a')); }),
            shared,
            make_mapping(entries),
            make_mapping(long_keys)};
}
std::vector<value> other_values() {
    return {nearly_all('a'),     list_of(long_list, [](std::size_t i) { return value(numbered(i)); }),
            std::int64_t{1000},  std::int64_t{-1},
            std::string("a"),    std::string("in"),
            std::string("upper")};
}

struct measured {
    std::uint64_t charged = 0;
    std::uint64_t work = 0;
};

measured measure(const std::string& source, const value& a, const value& b, const value& c) {
    const source_text text(source, "t");
    const syntax_tree tree = parse(text);
    const limits bounds{.steps = most_steps};
    const std::tm now{};
    runtime run(text, bounds, now);
    evaluator evaluate(run, tree);
    evaluate.set("a", a);
    evaluate.set("b", b);
    evaluate.set("c", c);
    const std::uint64_t before = support::work_done();
    try {
        (void)evaluate.render();
    } catch (const error&) {  // what has been done until then has to be charged just the same
    }
    return {run.spent(), support::work_done() - before};
}

class checker {
public:
    void operator()(const std::string& source, const value& a, const value& b = {}, const value& c = {}) {
        const measured m = measure(source, a, b, c);
        ++count_;
        largest_ = std::max(largest_, m.work > work_per_call ? (m.work - work_per_call) / (m.charged + 1) : 0);
        if (m.work > work_per_call + work_per_step * m.charged && ++failures_ <= 20)
            FAIL_CHECK(source << " with a " << type_name(a) << " (" << a.text().substr(0, 8) << "), a " << type_name(b)
                              << " (" << b.text().substr(0, 8) << ") and a " << type_name(c) << ": " << m.work
                              << " blocks, charged " << m.charged);
    }
    [[nodiscard]] std::size_t count() const { return count_; }
    ~checker() { MESSAGE("      " << count_ << " calls, at most " << largest_ << " blocks a step"); }

private:
    std::size_t count_ = 0;
    std::size_t failures_ = 0;
    std::uint64_t largest_ = 0;
};

// How many arguments a built-in takes, as far as they are tried.
std::size_t parameters_of(const builtin& b) {
    std::size_t count = b.parameters.empty() ? 0 : 1;
    for (const char c : b.parameters) count += c == ' ' ? 1 : 0;
    return b.parameters.ends_with('*') ? std::max<std::size_t>(count, 2) : std::min<std::size_t>(count, 3);
}

// Calls `call("(b, c)")` for all numbers of arguments.
void for_each_call(const builtin& b, auto&& call) {
    const std::size_t most = parameters_of(b);
    call("()", 0);
    if (most > 0) call("(b)", 1);
    if (most > 1) call("(b, c)", 2);
    if (most > 2) call("(b, c, c)", 2);
}

// Calls a built-in between these pieces of source with everything.
void check_all(checker& check, const builtin& b, const std::string& before, const std::string& after = " }}") {
    const std::vector<value> selves = large_values(), others = other_values();
    for_each_call(b, [&](const std::string& arguments, std::size_t count) {
        const std::string source = std::string(b.name) + arguments;
        for (std::size_t s = 0; s < selves.size(); ++s) {
            if (count == 0) check(before + source + after, selves[s]);
            if (count == 0 && before == "{{ a|") check("{% set g = a|map('list') %}{{ g|" + source + after, selves[s]);
            for (std::size_t o = 0; count > 0 && o < others.size(); ++o) {
                if (count == 1) check(before + source + after, selves[s], others[o]);
                if (count == 2)
                    for (const std::size_t p : {0u, 2u, 4u})
                        check(before + source + after, selves[s], others[o], others[p]);
            }
        }
    });
}

}  // namespace

TEST_CASE("cost: the counter counts") {
    const std::string text(100'000, 'a');
    const std::uint64_t before = support::work_done();
    CHECK(text.find(std::string(50'000, 'a') + 'b') == std::string::npos);  // compares at every place
    CHECK(support::work_done() - before > 50'000ull * 50'000 / 8);
    const std::uint64_t rendered = measure("{% for i in range(999) %}{{ i * 2 }}{% endfor %}", {}, {}, {}).work;
    CHECK(rendered > 50'000);  // blocks of instructions of the engine, whose memory takes much less
}

TEST_CASE("cost: a search takes what both lengths take") {
    const std::string text(100'000, 'a'), wanted = std::string(50'000, 'a') + 'b',
                                          mirrored = 'b' + std::string(50'000, 'a');
    const std::uint64_t before = support::work_done();
    CHECK(text_search(wanted)(text) == std::string::npos);
    CHECK(text_search(mirrored, text_search::direction::backward)(text) == std::string::npos);
    CHECK(support::work_done() - before < 20 * 2 * (text.size() + wanted.size()));
}

TEST_CASE("cost: filters") {
    checker check;
    for (const builtin& b : text_filters) check_all(check, b, "{{ a|");
    for (const builtin& b : list_filters) check_all(check, b, "{{ a|");
    for (const value& a : large_values())
        for (const char* source :
             {"{{ a|map(attribute='x.y')|list }}", "{{ a|map('replace', 'a', 'bb')|list }}",
              "{{ a|sort(attribute='1,2')}}", "{{ a|tojson(indent=2) }}", "{{ a|tojson(sort_keys=true) }}",
              "{{ a|tojson(ensure_ascii=true) }}", "{{ a|batch(3, 0)|list }}", "{{ a|slice(100000000)|list }}",
              "{{ a|batch(100000000, 0)|list }}"})
            check(source, a);
    CHECK(check.count() > 5000);
}

TEST_CASE("cost: methods") {
    checker check;
    for (const std::span<const builtin> table :
         {std::span<const builtin>(string_methods), std::span<const builtin>(mapping_methods),
          std::span<const builtin>(list_methods)})
        for (const builtin& b : table) check_all(check, b, "{{ a.");
    for (const builtin& b : jinja::detail::loop_methods)
        check_all(check, b, "{% for x in [1, 2] %}{{ loop.", " }}{% endfor %}");
    CHECK(check.count() > 5000);
}

TEST_CASE("cost: tests and functions") {
    checker check;
    for (const builtin& b : tests)
        if (is_letter(static_cast<unsigned char>(b.name[0])))
            check_all(check, b, "{{ a is ");
        else  // reached by its name in a text only
            for (const value& a : large_values())
                check("{{ [a, a]|select('" + std::string(b.name) + "', a)|list }}", a);
    for (const builtin& b : globals) check_all(check, b, "{{ ");
    for (const value& a : large_values())
        for (const char* source :
             {"{{ dict(a, x=1) }}", "{{ namespace(a) }}", "{{ raise_exception(a) }}", "{{ strftime_now(a) }}",
              "{{ range(0, 100000000) }}", "{% set n = namespace() %}{% for x in a %}{% set n.y = x %}{% endfor %}"})
            check(source, a);
}

TEST_CASE("cost: operators, statements and names") {
    checker check;
    for (const value& a : large_values()) {
        for (const char* source :
             {"{{ a }}",
              "{{ a ~ a }}",
              "{{ [a, a] == [a, a] }}",
              "{{ -a }}",
              "{{ a[3:-3] }}",
              "{{ a[::-2] }}",
              "{{ a['x'] }}",
              "{{ a.x.y }}",
              "{% for x in a %}{{ loop.previtem }}{% endfor %}",
              "{% for x in a if x %}{{ x }}{% endfor %}",
              "{% set x, y = a %}",
              "{% macro m(x) %}{{ x }}{% endmacro %}{% for i in range(99) %}{{ m(a) }}{% endfor %}",
              "{% filter upper %}{{ a }}{% endfilter %}",
              "{% for i in range(9999) %}{{ a[i] }}{% endfor %}",
              "{% for i in range(9999) %}{{ a is defined }}{% endfor %}",
              "{% for i in range(999) %}{{ a.pop(0) }}{% endfor %}",
              "{% for i in range(999) %}{{ a.insert(0, i) }}{% endfor %}",
              "{% set g = a|map('list') %}{% for i in range(999) %}{{ g|first }}{% endfor %}",
              "{{ [a[a]] * 5000 }}",
              "{{ a * 100000000 }}"})
            check(source, a);
        for (const value& b : large_values())
            for (const char* source :
                 {"{{ a + b }}", "{{ a * b }}", "{{ a % b }}", "{{ a % (b, b) }}", "{{ a == b }}", "{{ a < b }}",
                  "{{ a in b }}", "{{ a ~ b }}", "{{ a[b] }}", "{{ {a: b} }}", "{{ [a] == [b] }}", "{{ a // b }}"})
                check(source, a, b);
    }
    std::string names, parameters, arguments;
    for (int i = 0; i < 500; ++i) {
        const std::string name = "v" + std::to_string(i);
        names += "{% set " + name + " = 1 %}";
        parameters += (i > 0 ? ", " : "") + name;
        arguments += (i > 0 ? ", " : "") + name + "=1";
    }
    check(names + "{% for i in range(9999) %}{{ v499 }}{% endfor %}", none{});
    check(names + "{% for i in range(9999) %}{% set v499 = i %}{% endfor %}", none{});
    check("{% macro m(" + parameters + ") %}{% endmacro %}{% for i in range(999) %}{{ m(" + arguments +
              ") }}{% endfor %}",
          none{});
    check("{% for i in range(9999) %}{{ " + std::string(10000, 'x') + " is defined }}{% endfor %}", none{});
    CHECK(check.count() > 2000);
}
