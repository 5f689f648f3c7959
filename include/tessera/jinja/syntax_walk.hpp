// Every expression and statement of a syntax tree, from the front of the template to its end.
#pragma once

#include <variant>

#include "tessera/jinja/syntax.hpp"

namespace tessera::jinja {

/// Calls visit(node) for every expression and statement.
template <class Visit>
class syntax_walk {
public:
    explicit syntax_walk(Visit& visit) : visit_(visit) {}

    void operator()(const block& statements) {
        for (const statement& s : statements) {
            visit_(s);
            std::visit([&](const auto& form) { inside(form); }, s.form);
        }
    }
    void operator()(const expression& e) {
        visit_(e);
        std::visit([&](const auto& form) { inside(form); }, e.form);
    }

private:
    void operator()(const expression_ptr& e) {
        if (e != nullptr) (*this)(*e);
    }
    template <class Node>
    void all(const std::vector<Node>& nodes) {
        for (const Node& node : nodes) (*this)(node);
    }

    void inside(const literal&) {}
    void inside(const variable&) {}
    void inside(const sequence_display& e) { all(e.items); }
    void inside(const mapping_display& e) {
        for (const auto& [key, item] : e.entries) {
            (*this)(key);
            (*this)(item);
        }
    }
    void inside(const chain& e) {
        (*this)(e.first);
        steps(e.steps);
    }
    void inside(const unary& e) { (*this)(e.operand); }
    void inside(const calculation& e) { operands(e); }
    void inside(const concatenation& e) { all(e.parts); }
    void inside(const comparison& e) { operands(e); }
    void inside(const connection& e) { all(e.operands); }
    void inside(const conditional& e) {
        (*this)(e.condition);
        (*this)(e.when_true);
        (*this)(e.otherwise);
    }
    template <class Operands>
    void operands(const Operands& e) {
        (*this)(e.first);
        for (const auto& operand : e.rest) (*this)(operand.what);
    }

    void steps(const std::vector<step>& all) {
        for (const step& s : all) std::visit([&](const auto& form) { inside(form); }, s.form);
    }
    void inside(const attribute_step&) {}
    void inside(const subscript_step& s) { (*this)(s.key); }
    void inside(const slice_step& s) {
        (*this)(s.first);
        (*this)(s.last);
        (*this)(s.step);
    }
    void inside(const call_step& s) { inside(s.arguments); }
    void inside(const filter_step& s) { inside(s.arguments); }
    void inside(const test_step& s) { inside(s.arguments); }
    void inside(const argument_list& list) {
        all(list.positional);
        for (const auto& [name, argument] : list.named) (*this)(argument);
    }

    void inside(const text_statement&) {}
    void inside(const output_statement& s) { (*this)(s.what); }
    void inside(const if_statement& s) {
        for (const auto& [condition, body] : s.branches) {
            (*this)(condition);
            (*this)(body);
        }
        (*this)(s.otherwise);
    }
    void inside(const for_statement& s) {
        (*this)(s.iterable);
        if (s.condition) (*this)(*s.condition);
        (*this)(s.body);
        (*this)(s.otherwise);
    }
    void inside(const set_statement& s) { (*this)(s.what); }
    void inside(const set_block_statement& s) {
        steps(s.filters);
        (*this)(s.body);
    }
    void inside(const filter_block_statement& s) {
        steps(s.filters);
        (*this)(s.body);
    }
    void inside(const macro_definition& macro) {
        for (const auto& [name, otherwise] : macro.parameters) (*this)(otherwise);
        (*this)(macro.body);
    }
    void inside(const macro_statement& s) { inside(s.definition); }
    void inside(const call_statement& s) {
        (*this)(s.what);
        inside(s.caller);
    }
    void inside(const with_statement& s) {
        for (const auto& [to, what] : s.assignments) (*this)(what);
        (*this)(s.body);
    }
    void inside(const jump_statement&) {}

    Visit& visit_;
};

}  // namespace tessera::jinja
