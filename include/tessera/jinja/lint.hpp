// A linter: constructs of a template that other engines refuse, or take otherwise than Jinja does.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/jinja/syntax.hpp"
#include "tessera/jinja/syntax_walk.hpp"
#include "tessera/jinja/text_template.hpp"

namespace tessera::jinja {

/// Something that works in one engine and not, or differently, in another.
struct finding {
    std::size_t line;
    std::size_t column;
    std::string problem;
    std::string rewrite;  ///< what works everywhere
};

namespace detail {

inline bool contains_name(const auto& names, std::string_view name) {
    return std::find(names.begin(), names.end(), name) != names.end();
}

// What an expression is, where it can be told from the source alone.
inline const step* last_step(const expression& e) {
    const auto* c = std::get_if<chain>(&e.form);
    return c != nullptr ? &c->steps.back() : nullptr;
}
inline bool gives_generator(const step* s) {
    constexpr std::array<std::string_view, 9> lazy{"map",    "select", "reject", "selectattr", "rejectattr",
                                                   "unique", "batch",  "slice",  "items"};
    const auto* filter = s != nullptr ? std::get_if<filter_step>(&s->form) : nullptr;
    return filter != nullptr && contains_name(lazy, filter->name);
}

class linter {
public:
    explicit linter(const text_template& checked) : source_(checked.source()) {
        syntax_walk walk(*this);
        walk(checked.tree().body);
        std::stable_sort(found_.begin(), found_.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    }
    std::vector<finding> result() && {
        std::vector<finding> all;
        // Lines and columns are counted in one pass: each by itself would take the square of the source's length in
        // all.
        std::size_t line = 1, column = 1;
        position counted = 0;
        for (auto& [at, f] : found_) {
            for (; counted < at; ++counted) {
                const char c = source_.text()[counted];
                if (c == '\n') {
                    ++line;
                    column = 1;
                } else if ((static_cast<unsigned char>(c) & 0xc0) != 0x80) {  // no further byte of a character
                    ++column;
                }
            }
            f.line = line;
            f.column = column;
            all.push_back(std::move(f));
        }
        return all;
    }

    void operator()(const statement& s) {
        if (const auto* with = std::get_if<with_statement>(&s.form);
            with && source_.text().substr(s.at).starts_with("with"))
            add(s.at, "llama.cpp has no {% with %}", "{% set %} before what uses the name");
        if (source_.text().substr(s.at).starts_with("autoescape"))
            add(s.at, "llama.cpp has no {% autoescape %}", "leave it out: nothing is escaped anyway");
        if (const auto* set = std::get_if<set_block_statement>(&s.form); set && !set->filters.empty())
            add(s.at, "llama.cpp has no filter after {% set %}", "{% set %} of the block, then {% set x = x|filter %}");
        if (const auto* loop = std::get_if<for_statement>(&s.form); loop && unpacks_twice(loop->item))
            add(s.at, "llama.cpp unpacks into names only", "one name, and x[0], x[1] for its parts");
        if (const auto* branches = std::get_if<if_statement>(&s.form))
            for (const auto& [condition, body] : branches->branches) truth(condition);
    }

    void operator()(const expression& e) {
        if (const auto* c = std::get_if<chain>(&e.form)) steps(*c);
        if (const auto* u = std::get_if<unary>(&e.form)) signs(*u, e.at);
        if (const auto* c = std::get_if<connection>(&e.form))
            for (const expression& operand : c->operands) truth(operand);
        if (const auto* c = std::get_if<conditional>(&e.form)) truth(*c->condition);
        if (const auto* c = std::get_if<calculation>(&e.form)) calculations(*c);
        if (const auto* c = std::get_if<comparison>(&e.form); c && c->rest.size() > 1)
            add(e.at, "llama.cpp compares with what the comparison before gave", "a < b and b < c");
    }

private:
    void add(position at, std::string problem, std::string rewrite) {
        found_.emplace_back(at, finding{0, 0, std::move(problem), std::move(rewrite)});
    }

    static bool unpacks_twice(const target& t) {
        const auto* parts = std::get_if<std::vector<target>>(&t.form);
        return parts != nullptr && std::any_of(parts->begin(), parts->end(), [](const target& part) {
                   return std::holds_alternative<std::vector<target>>(part.form);
               });
    }

    // A generator is true in Jinja, even without elements.
    void truth(const expression& condition) {
        const step* last = last_step(condition);
        if (gives_generator(last))
            add(last->at,
                concat("what |", std::get<filter_step>(last->form).name,
                       " gives is always true in Jinja; llama.cpp takes an empty one as false"),
                "add |list after it");
    }

    void signs(const unary& u, position at) {
        if (u.op == sign::logical_not)
            truth(*u.operand);
        else if (!std::holds_alternative<literal>(u.operand->form))
            add(at, "llama.cpp knows signs of plain numbers only", "0 - x");
    }

    void calculations(const calculation& c) {
        for (const calculation::operand& operand : c.rest) {
            if (operand.op == arithmetic_operator::power) add(operand.what.at, "llama.cpp has no operator **", "x * x");
            if (operand.op == arithmetic_operator::divide_down)
                add(operand.what.at, "llama.cpp has no operator //", "(a - a % b) / b, and |int after it");
            const auto* text = std::get_if<literal>(&c.first->form);
            if (operand.op == arithmetic_operator::modulo && text != nullptr && text->what.is<string>())
                add(operand.what.at, "llama.cpp cannot format text with %", "join the parts with ~");
        }
    }

    void steps(const chain& c) {
        for (std::size_t i = 0; i < c.steps.size(); ++i) {
            const step& s = c.steps[i];
            const step* before = i > 0 ? &c.steps[i - 1] : nullptr;
            const step* after = i + 1 < c.steps.size() ? &c.steps[i + 1] : nullptr;
            if (const auto* name = std::get_if<attribute_step>(&s.form); name && after)
                if (const auto* call = std::get_if<call_step>(&after->form)) method(name->name, call->arguments, s.at);
            if (const auto* f = std::get_if<filter_step>(&s.form)) filter(*f, before, s.at);
            if (const auto* t = std::get_if<test_step>(&s.form)) test(*t, s.at);
            if (const auto* slice = std::get_if<slice_step>(&s.form)) step_of(*slice, s.at);
            if (gives_generator(before) && std::holds_alternative<subscript_step>(s.form))
                add(s.at, "Jinja cannot index what this filter gives, llama.cpp can", "add |list before the index");
        }
    }

    void method(std::string_view name, const argument_list& given, position at) {
        const std::size_t count = given.positional.size() + given.named.size();
        constexpr std::array<std::string_view, 29> unknown{
            "splitlines",   "partition", "rpartition",   "find",  "rfind",   "index",   "rindex",  "count",
            "removeprefix", "join",      "ljust",        "rjust", "center",  "zfill",   "isspace", "isdigit",
            "isdecimal",    "isalpha",   "removesuffix", "cycle", "isalnum", "islower", "isupper", "isnumeric",
            "format",       "casefold",  "setdefault",   "copy",  "changed"};
        constexpr std::array<std::string_view, 6> changing{"append", "extend", "insert", "pop", "update", "remove"};
        if ((name == "split" || name == "rsplit") && count > 1)
            add(at, concat("llama.cpp before 2026 refuses .", name, "() with a count"),
                "x.split(s)[0] for the first part, x.split(s)[1:]|join(s) for the rest");
        else if ((name == "split" || name == "rsplit") && count == 0)
            add(at, concat("llama.cpp cuts at every single blank where .", name, "() has no separator"),
                "name the separator: .split(' ')");
        else if (name == "replace" && count > 2)
            add(at, "llama.cpp has no .replace() with a count", "x.split(old)[0] ~ new ~ x.split(old)[1:]|join(old)");
        else if ((name == "startswith" || name == "endswith") && count > 0 && takes_tuple(given))
            add(at, concat("llama.cpp has no .", name, "() for several texts at once"),
                concat("x.", name, "(a) or x.", name, "(b)"));
        else if ((name == "startswith" || name == "endswith") && count > 1)
            add(at, concat("llama.cpp ignores where .", name, "() should begin"), concat("x[n:].", name, "(a)"));
        else if (contains_name(changing, name))
            add(at, concat("transformers refuses .", name, "(), which changes its object; llama.cpp does not"),
                name == "pop" ? "x[0] and x[1:], or x[-1] and x[:-1]"
                              : "a new value: {% set ns.x = ns.x + [y] %} with a namespace");
        else if (contains_name(unknown, name))
            add(at, concat("llama.cpp has no method .", name, "()"), substitute(name));
    }

    static bool takes_tuple(const argument_list& given) {
        return !given.positional.empty() && std::holds_alternative<sequence_display>(given.positional[0].form);
    }
    static std::string substitute(std::string_view method) {
        if (method == "find" || method == "index" || method == "count") return "'a' in x, or x.split('a')|length - 1";
        if (method == "join") return "the filter: list|join(separator)";
        if (method == "cycle") return "(a, b)[loop.index0 % 2]";
        if (method == "splitlines") return "x.split('\\n')";
        if (method == "partition") return "x.split(s)[0] and x.split(s)[1:]|join(s)";
        if (method == "rpartition") return "x.split(s)[:-1]|join(s) and x.split(s)[-1]";
        if (method == "removeprefix") return "x[n:] if x.startswith(a) else x";
        if (method == "removesuffix") return "x[:-n] if x.endswith(a) else x";
        if (method == "format") return "join the parts with ~";
        return "none; do without it";
    }

    void filter(const filter_step& f, const step* before, position at) {
        constexpr std::array<std::string_view, 15> unknown{"batch",       "center",   "groupby", "round",  "slice",
                                                           "attr",        "format",   "e",       "escape", "sum",
                                                           "forceescape", "truncate", "min",     "max",    "wordcount"};
        const std::size_t count = f.arguments.positional.size() + f.arguments.named.size();
        if (f.filter == nullptr)
            add(at, concat("there is no filter ", f.name, ": rendering fails where it is reached"),
                "a filter of Jinja's");
        else if (f.name == "unique")
            add(at, "llama.cpp has no filter unique",
                "a loop: {% if x not in ns.seen %}{% set ns.seen = ns.seen + [x] %}{% endif %}");
        else if (f.name == "map" && !f.arguments.positional.empty())
            add(at, "llama.cpp has no map with a filter", "a loop, or map(attribute='...')");
        else if (f.name == "replace" && count > 2)
            add(at, "llama.cpp has no replace with a count", "x.split(old)[0] ~ new ~ x.split(old)[1:]|join(old)");
        else if (f.name == "indent")
            add(at, "llama.cpp's indent moves the first line instead of the others", "x.replace('\\n', '\\n    ')");
        else if (f.name == "tojson" && asks_for(f.arguments, "sort_keys"))
            add(at, "llama.cpp has no tojson with sort_keys", "leave it out: keys stay in the order of the message");
        else if (f.name == "tojson" && asks_for(f.arguments, "ensure_ascii"))
            add(at, "llama.cpp has no tojson with ensure_ascii", "leave it out: all characters stay as they are");
        else if (f.name == "d" || f.name == "count")
            add(at, concat("llama.cpp has no filter ", f.name), f.name == "d" ? "default" : "length");
        else if ((f.name == "select" || f.name == "reject") && f.arguments.positional.size() < 2)
            add(at, concat("llama.cpp's ", f.name, " takes a test with an argument only"), "a loop with if");
        else if ((f.name == "selectattr" || f.name == "rejectattr") && f.arguments.positional.size() == 2)
            add(at, concat("llama.cpp's ", f.name, " takes a test with an argument only"),
                concat(f.name, " with the attribute alone, or a loop with if"));
        else if (contains_name(unknown, f.name))
            add(at, concat("llama.cpp has no filter ", f.name), "none; do without it");
        if ((f.name == "length" || f.name == "last") && gives_generator(before))
            add(at, concat("Jinja has no ", f.name, " of what the filter before it gives, llama.cpp has"),
                concat("|list|", f.name));
    }

    // Whether an argument is given, and not as false.
    static bool asks_for(const argument_list& given, std::string_view name) {
        return std::any_of(given.named.begin(), given.named.end(), [&](const argument_list::named_argument& argument) {
            const auto* what = std::get_if<literal>(&argument.what.form);
            const bool* truth = what != nullptr ? what->what.get<bool>() : nullptr;
            return argument.name == name && (truth == nullptr || *truth);
        });
    }

    void test(const test_step& t, position at) {
        if (t.name == "sameas") add(at, "llama.cpp has no test sameas", "is true, is none, or ==");
    }

    // [::-1] is known to all engines, other steps are not.
    void step_of(const slice_step& s, position at) {
        if (s.step == nullptr) return;
        const auto* minus = std::get_if<unary>(&s.step->form);
        const auto* one = minus != nullptr ? std::get_if<literal>(&minus->operand->form) : nullptr;
        const auto* number = one != nullptr ? one->what.get<std::int64_t>() : nullptr;
        const bool is_reversal =
            s.first == nullptr && s.last == nullptr && number != nullptr && *number == 1 && minus->op == sign::minus;
        if (!is_reversal)
            add(at, "llama.cpp before 2026 knows no step but [::-1]", "a loop over range(first, last, step)");
    }

    const source_text& source_;
    std::vector<std::pair<position, finding>> found_;
};

}  // namespace detail

/// Looks for constructs that llama.cpp's engines (minja until 2026, its own since) or transformers' sandbox are known
/// to refuse or to take differently, in the order of the source. What depends on types that only show while rendering,
/// such as printing a whole list, is not found.
[[nodiscard]] inline std::vector<finding> lint(const text_template& checked) {
    return detail::linter(checked).result();
}

}  // namespace tessera::jinja
