// Walks the expressions of a syntax tree: to values.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "tessera/jinja/arithmetic.hpp"
#include "tessera/jinja/builtin.hpp"
#include "tessera/jinja/lookup.hpp"
#include "tessera/jinja/operations.hpp"
#include "tessera/jinja/print.hpp"
#include "tessera/jinja/runtime.hpp"
#include "tessera/jinja/scope.hpp"
#include "tessera/jinja/syntax.hpp"
#include "tessera/jinja/value.hpp"

namespace tessera::jinja {

/// The values of expressions, in the block whose names are looked up just now.
class expression_evaluator {
protected:
    expression_evaluator(runtime& run, const syntax_tree& tree) : run_(run), tree_(tree) {}

    value evaluate(const expression& e) {
        const runtime::level inside(run_);
        run_.spend(1);
        return std::visit([&](const auto& form) { return evaluate(form, e.at); }, e.form);
    }
    value evaluate(const expression_ptr& e) { return e == nullptr ? value() : evaluate(*e); }

    // Names are charged by how many of them there are to look through.
    const value* find_name(symbol name) {
        const scope::place found = here_->find(name);
        run_.spend(found.passed / 8);
        return found.what;
    }
    void set_here(symbol name, value v) {
        run_.spend(here_->size() / 8);
        here_->set(name, std::move(v));
    }

    value evaluate(const literal& l, position) { return l.what; }

    value evaluate(const variable& v, position) {
        if (const value* found = find_name(v.name)) return *found;
        const std::string& spelling = tree_.names[v.name];
        run_.spend(spelling.size());
        return undefined{concat("'", spelling, "' is undefined")};
    }

    value evaluate(const sequence_display& display, position at) {
        std::vector<value> items;
        for (const expression& item : display.items) items.push_back(evaluate(item));
        run_.go_to(at);
        return run_.list(std::move(items), display.kind);
    }

    value evaluate(const mapping_display& display, position at) {
        mapping made;
        for (const auto& [key, item] : display.entries) {
            const value name = evaluate(key);
            value v = evaluate(item);
            run_.go_to(at);
            jinja::assign(run_, made, name, std::move(v));
        }
        return run_.map(std::move(made.entries));
    }

    value evaluate(const chain& c, position) {
        value v = evaluate(*c.first);
        for (const step& s : c.steps) v = take(v, s);
        return v;
    }

    value evaluate(const unary& u, position at) {
        const value v = evaluate(*u.operand);
        run_.go_to(at);
        if (u.op == sign::logical_not) return !is_true(v);
        if (const auto* real = defined(run_, v).get<double>()) return u.op == sign::minus ? -*real : *real;
        if (as_integer(v))
            return u.op == sign::minus ? calculate(run_, arithmetic_operator::subtract, std::int64_t{0}, v) : v;
        run_.fail("bad operand type for unary ", u.op == sign::minus ? "-" : "+", ": '", type_name(v), "'");
    }

    value evaluate(const calculation& c, position) {
        value result = evaluate(*c.first);
        for (const calculation::operand& operand : c.rest) {
            const value right = evaluate(operand.what);
            run_.go_to(operand.what.at);
            result = calculate(run_, operand.op, result, right);
        }
        return result;
    }

    value evaluate(const concatenation& c, position) {
        std::string text;
        for (const expression& part : c.parts) {
            const value v = evaluate(part);
            run_.go_to(part.at);
            print(run_, v, text);
        }
        return text;
    }

    value evaluate(const comparison& c, position) {
        value left = evaluate(*c.first);
        for (const comparison::operand& operand : c.rest) {
            value right = evaluate(operand.what);
            run_.go_to(operand.what.at);
            if (!holds(operand.op, left, right)) return false;
            left = std::move(right);
        }
        return true;
    }

    bool holds(comparison_operator op, const value& a, const value& b) {
        switch (op) {
            case comparison_operator::equal: return is_equal(run_, a, b);
            case comparison_operator::different: return !is_equal(run_, a, b);
            case comparison_operator::less: return compare(run_, a, b, "<") < 0;
            case comparison_operator::at_most: return compare(run_, a, b, "<=") <= 0;
            case comparison_operator::greater: return compare(run_, a, b, ">") > 0;
            case comparison_operator::at_least: return compare(run_, a, b, ">=") >= 0;
            case comparison_operator::in: return contains(run_, b, a);
            case comparison_operator::not_in: break;
        }
        return !contains(run_, b, a);
    }

    // The operand that decides, as it is.
    value evaluate(const connection& c, position) {
        value v;
        for (const expression& operand : c.operands) {
            v = evaluate(operand);
            if (is_true(v) == (c.op == connective::any)) break;
        }
        return v;
    }

    value evaluate(const conditional& c, position) {
        if (is_true(evaluate(*c.condition))) return evaluate(*c.when_true);
        return c.otherwise != nullptr ? evaluate(*c.otherwise)
                                      : undefined{"the condition of an if without else is false"};
    }

    value take(const value& v, const step& s) {
        run_.spend(1);
        return std::visit([&](const auto& form) { return take(v, form, s.at); }, s.form);
    }
    value take(const value& v, const attribute_step& s, position at) {
        run_.go_to(at);
        return get_attribute(run_, v, s.name);
    }
    value take(const value& v, const subscript_step& s, position at) {
        const value key = evaluate(*s.key);
        run_.go_to(at);
        return get_item(run_, v, defined(run_, key));
    }
    value take(const value& v, const slice_step& s, position at) {
        const value first = evaluate(s.first), last = evaluate(s.last), step = evaluate(s.step);
        run_.go_to(at);
        return get_slice(run_, v, first, last, step);
    }
    value take(const value& v, const call_step& s, position at) {
        arguments given = evaluate(s.arguments);
        run_.go_to(at);
        return call(v, std::move(given));
    }
    value take(const value& v, const filter_step& s, position at) {
        arguments given = evaluate(s.arguments);
        run_.go_to(at);
        if (s.filter == nullptr) run_.fail("No filter named '", s.name, "'");
        return invoke(run_, *s.filter, v, std::move(given));
    }
    value take(const value& v, const test_step& s, position at) {
        arguments given = evaluate(s.arguments);
        run_.go_to(at);
        return is_true(invoke(run_, *s.test, v, std::move(given))) == (s.meaning == test_step::sense::is);
    }

    arguments evaluate(const argument_list& list) {
        arguments given;
        for (const expression& argument : list.positional) given.positional.push_back(evaluate(argument));
        for (const auto& [name, argument] : list.named) given.named.emplace_back(name, evaluate(argument));
        return given;
    }

    value call(const value& callee, arguments given) {
        const object* thing = defined(run_, callee).as_object();
        if (thing == nullptr) run_.fail("'", type_name(callee), "' object is not callable");
        return thing->call(run_, std::move(given));
    }

    runtime& run_;
    const syntax_tree& tree_;
    scope globals_;
    scope* here_ = &globals_;
};

}  // namespace tessera::jinja
