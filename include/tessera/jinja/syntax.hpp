// The syntax tree of a template.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "tessera/jinja/arithmetic.hpp"
#include "tessera/jinja/builtin.hpp"
#include "tessera/jinja/source_text.hpp"
#include "tessera/jinja/value.hpp"

namespace tessera::jinja {

/// A variable's name, as its place in the list of all names of the template.
using symbol = std::uint32_t;

struct expression;
using expression_ptr = std::unique_ptr<expression>;  // null: left out

struct literal {
    value what;
};
struct variable {
    symbol name;
};
struct sequence_display {
    std::vector<expression> items;
    sequence_kind kind;
};
struct mapping_display {
    struct entry;
    std::vector<entry> entries;
};

/// What stands between the brackets of a call.
struct argument_list {
    struct named_argument;
    std::vector<expression> positional;
    std::vector<named_argument> named;
};

// Steps that follow a first expression, each taking what comes before it: .name [key] [a:b:c] (...) |filter is test
struct attribute_step {
    std::string name;
};
struct subscript_step {
    expression_ptr key;
};
struct slice_step {
    expression_ptr first, last, step;
};
struct call_step {
    argument_list arguments;
};
struct filter_step {
    std::string name;
    const builtin* filter;  // null when there is none of this name: an error only when it is reached
    argument_list arguments;
};
struct test_step {
    std::string name;
    const builtin* test;
    argument_list arguments;
    enum class sense { is, is_not } meaning;
};
struct step {
    std::variant<attribute_step, subscript_step, slice_step, call_step, filter_step, test_step> form;
    position at;
};
struct chain {
    expression_ptr first;
    std::vector<step> steps;
};

enum class sign { plus, minus, logical_not };
struct unary {
    sign op;
    expression_ptr operand;
};
/// Operators of one precedence, from left to right.
struct calculation {
    expression_ptr first;
    struct operand;
    std::vector<operand> rest;
};
struct concatenation {
    std::vector<expression> parts;
};
enum class comparison_operator { equal, different, less, at_most, greater, at_least, in, not_in };
struct comparison {
    expression_ptr first;
    struct operand;
    std::vector<operand> rest;
};
enum class connective { all, any };
struct connection {
    connective op;
    std::vector<expression> operands;
};
struct conditional {
    expression_ptr condition, when_true, otherwise;
};

struct expression {
    std::variant<literal, variable, sequence_display, mapping_display, chain, unary, calculation, concatenation,
                 comparison, connection, conditional>
        form;
    position at;
};
struct mapping_display::entry {
    expression key;
    expression item;
};
struct argument_list::named_argument {
    std::string name;
    expression what;
};
struct calculation::operand {
    arithmetic_operator op;
    expression what;
};
struct comparison::operand {
    comparison_operator op;
    expression what;
};

/// What can be assigned to: a name, an attribute of a namespace, several of them.
struct target {
    std::variant<symbol, std::pair<symbol, std::string>, std::vector<target>> form;
    position at;
};

struct statement;
using block = std::vector<statement>;

struct text_statement {
    std::string text;
};
struct output_statement {
    expression what;
};
struct if_statement {
    std::vector<std::pair<expression, block>> branches;
    block otherwise;
};
struct for_statement {
    target item;
    expression iterable;
    std::optional<expression> condition;
    block body;
    block otherwise;
};
struct set_statement {
    target to;
    expression what;
};
/// {% set x | filter %}...{% endset %}
struct set_block_statement {
    target to;
    std::vector<step> filters;
    block body;
};
struct filter_block_statement {
    std::vector<step> filters;
    block body;
};
/// A macro's parameters (with defaults, or without) and what it prints.
struct macro_definition {
    std::string name;
    std::vector<std::pair<symbol, expression_ptr>> parameters;
    block body;
};
struct macro_statement {
    symbol name;
    macro_definition definition;
};
/// {% call(...) macro(...) %}...{% endcall %}
struct call_statement {
    expression what;
    macro_definition caller;
};
struct with_statement {
    std::vector<std::pair<target, expression>> assignments;
    block body;
};
enum class jump_statement { out_of_loop, next_turn };

struct statement {
    std::variant<text_statement, output_statement, if_statement, for_statement, set_statement, set_block_statement,
                 filter_block_statement, macro_statement, call_statement, with_statement, jump_statement>
        form;
    position at;
};

/// A parsed template. Everything in it stays as it is while templates are rendered.
struct syntax_tree {
    block body;
    std::vector<std::string> names;  // by symbol

    [[nodiscard]] std::optional<symbol> find(std::string_view name) const {
        for (std::size_t i = 0; i < names.size(); ++i)
            if (names[i] == name) return static_cast<symbol>(i);
        return std::nullopt;
    }
};

}  // namespace tessera::jinja
