// A template's source to its syntax tree.
#pragma once

#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tessera/jinja/expression_parser.hpp"
#include "tessera/jinja/lexer.hpp"
#include "tessera/jinja/syntax.hpp"

namespace tessera::jinja {

namespace detail {

class statement_parser : expression_parser {
public:
    using expression_parser::expression_parser;

    syntax_tree operator()() {
        block body = parse_block({});
        if (!sees(token_kind::end)) fail_expected("the end of the template");
        return {std::move(body), std::move(names_)};
    }

private:
    using names = std::initializer_list<std::string_view>;

    // Statements up to a block with one of these names, whose {% is consumed, or up to the end.
    block parse_block(names ends) {
        const nesting inside(*this);
        block body;
        for (;;) {
            const position at = now().at;
            if (sees(token_kind::end)) return body;
            if (sees(token_kind::text)) {
                body.push_back({text_statement{take().content}, at});
            } else if (skip(sees(token_kind::output_begin))) {
                body.push_back({output_statement{parse_tuple()}, at});
                expect(token_kind::output_end, "}}");
            } else {
                expect(token_kind::block_begin, "{%");
                for (const std::string_view end : ends)
                    if (sees_name(end)) return body;
                parse_statement(body);
            }
        }
    }

    // The body of a block, and the {% endname %} after it.
    block parse_body(std::string_view end) {
        const position at = now().at;
        expect(token_kind::block_end, "%}");
        block body = parse_block({end});
        if (!skip_name(end))
            source_.fail(at, "wanted {% ", end, " %} to end the block that begins here, got the end of the template");
        return body;
    }

    void parse_statement(block& into) {
        const token& word = expect(token_kind::name, "the name of a statement");
        const position at = word.at;
        const std::string_view name = word.content;
        if (name == "if") {
            into.push_back({parse_if(at), at});
        } else if (name == "for") {
            into.push_back({parse_for(at), at});
        } else if (name == "set") {
            parse_set(into, at);
        } else if (name == "macro") {
            const token& macro = expect(token_kind::name, "the macro's name");
            into.push_back({macro_statement{symbol_of(macro.content), parse_macro(macro.content, "endmacro")}, at});
        } else if (name == "call") {
            into.push_back({parse_call(), at});
        } else if (name == "filter") {
            auto filters = parse_filters();
            into.push_back({filter_block_statement{std::move(filters), parse_body("endfilter")}, at});
        } else if (name == "with") {
            into.push_back({parse_with(), at});
        } else if (name == "generation") {  // marks a part of the text; prints what is in it
            into.push_back({with_statement{{}, parse_body("endgeneration")}, at});
        } else if (name == "autoescape") {
            static_cast<void>(parse_expression());
            into.push_back({with_statement{{}, parse_body("endautoescape")}, at});
        } else if (name == "break" || name == "continue") {
            if (loops_ == 0) source_.fail(at, "wanted ", name, " inside a loop only");
            into.push_back({name == "break" ? jump_statement::out_of_loop : jump_statement::next_turn, at});
        } else {
            source_.fail(at, "wanted a statement, got ", name);
        }
        expect(token_kind::block_end, "%}");
    }

    if_statement parse_if(position at) {
        if_statement made;
        for (;;) {
            expression condition = parse_tuple();
            expect(token_kind::block_end, "%}");
            made.branches.emplace_back(std::move(condition), parse_block({"elif", "else", "endif"}));
            if (skip_name("elif")) continue;
            if (skip_name("else")) {
                expect(token_kind::block_end, "%}");
                made.otherwise = parse_block({"endif"});
            }
            if (!skip_name("endif")) source_.fail(at, "wanted {% endif %} to end this if, got the end of the template");
            return made;
        }
    }

    for_statement parse_for(position at) {
        target item = parse_target();
        if (!skip_name("in")) fail_expected("in");
        expression iterable = parse_iterable();
        std::optional<expression> condition;
        if (skip_name("if")) condition = parse_expression();
        if (sees_name("recursive"))
            source_.fail(now().at, "wanted a loop that does not call itself; a macro can do that");
        expect(token_kind::block_end, "%}");
        ++loops_;
        block body = parse_block({"else", "endfor"});
        --loops_;
        block otherwise;
        if (skip_name("else")) {
            expect(token_kind::block_end, "%}");
            otherwise = parse_block({"endfor"});
        }
        if (!skip_name("endfor")) source_.fail(at, "wanted {% endfor %} to end this loop, got the end of the template");
        return {std::move(item), std::move(iterable), std::move(condition), std::move(body), std::move(otherwise)};
    }

    void parse_set(block& into, position at) {
        target to = parse_target();
        if (skip_sign("=")) {
            into.push_back({set_statement{std::move(to), parse_tuple()}, at});
            return;
        }
        std::vector<step> filters;
        if (skip_sign("|")) filters = parse_filters();
        into.push_back({set_block_statement{std::move(to), std::move(filters), parse_body("endset")}, at});
    }

    macro_definition parse_macro(std::string name, std::string_view end) {
        macro_definition made{std::move(name), {}, {}};
        if (sees_sign("(") || end == "endmacro") {
            expect_sign("(");
            while (!skip_sign(")")) {
                if (!made.parameters.empty()) expect_sign(",");
                const token& parameter = expect(token_kind::name, "the name of a parameter");
                expression_ptr otherwise;
                if (skip_sign("="))
                    otherwise = boxed(parse_expression());
                else if (!made.parameters.empty() && made.parameters.back().second != nullptr)
                    source_.fail(parameter.at, "wanted a default for ", parameter.content,
                                 ", as the parameter before it has one");
                made.parameters.emplace_back(symbol_of(parameter.content), std::move(otherwise));
            }
        }
        if (end == "endmacro") made.body = parse_macro_body(end);
        return made;
    }

    // A macro's body is no part of a loop around it.
    block parse_macro_body(std::string_view end) {
        const std::size_t loops = std::exchange(loops_, 0);
        block body = parse_body(end);
        loops_ = loops;
        return body;
    }

    call_statement parse_call() {
        macro_definition caller = parse_macro("caller", "endcall");
        expression what = parse_expression();
        const auto* callee = std::get_if<chain>(&what.form);
        if (callee == nullptr || !std::holds_alternative<call_step>(callee->steps.back().form))
            source_.fail(what.at, "wanted a call");
        caller.body = parse_macro_body("endcall");
        return {std::move(what), std::move(caller)};
    }

    with_statement parse_with() {
        with_statement made;
        while (!sees(token_kind::block_end)) {
            if (!made.assignments.empty()) expect_sign(",");
            target to = parse_target();
            expect_sign("=");
            made.assignments.emplace_back(std::move(to), parse_expression());
        }
        made.body = parse_body("endwith");
        return made;
    }

    // name, name.attribute, or several with commas between them, in parentheses or without.
    target parse_target() {
        const position at = now().at;
        target first = parse_one_target();
        if (!sees_sign(",")) return first;
        std::vector<target> all;
        all.push_back(std::move(first));
        while (skip_sign(",") && (sees(token_kind::name) || sees_sign("(")) && !sees_name("in"))
            all.push_back(parse_one_target());
        return {std::move(all), at};
    }
    target parse_one_target() {
        const nesting inside(*this);
        const position at = now().at;
        if (skip_sign("(")) {
            target inner = parse_target();
            expect_sign(")");
            return inner;
        }
        const std::string& name = expect(token_kind::name, "a name to assign to").content;
        for (const std::string_view constant : {"true", "false", "none", "True", "False", "None"})
            if (name == constant) source_.fail(at, "wanted a name to assign to, got ", name);
        const symbol variable = symbol_of(name);
        if (!skip_sign(".")) return {variable, at};
        return {std::pair(variable, expect(token_kind::name, "the name of an attribute").content), at};
    }

    std::size_t loops_ = 0;
};

}  // namespace detail

/// Parses a template. Throws tessera::error with line and column where it is none.
[[nodiscard]] inline syntax_tree parse(const source_text& source) { return detail::statement_parser(source)(); }

}  // namespace tessera::jinja
