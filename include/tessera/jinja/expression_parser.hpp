// Tokens to expressions.
#pragma once

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "tessera/jinja/filters.hpp"
#include "tessera/jinja/lexer.hpp"
#include "tessera/jinja/source_text.hpp"
#include "tessera/jinja/syntax.hpp"
#include "tessera/jinja/tests.hpp"

namespace tessera::jinja {

/// Reads expressions off a row of tokens. Their precedence, from loosest to tightest: if-else, or, and, not,
/// comparisons, + -, ~, * / // %, **, signs; then what follows an operand: . [] () | is.
class expression_parser {
public:
    explicit expression_parser(const source_text& source) : source_(source), tokens_(tokenize(source)) {}

    [[nodiscard]] expression parse_expression() {
        const nesting inside(*this);
        expression first = parse_or();
        while (sees_name("if")) {
            const position at = take().at;
            auto condition = boxed(parse_or());
            expression_ptr otherwise;
            if (skip_name("else")) otherwise = boxed(parse_expression());
            first = {conditional{std::move(condition), boxed(std::move(first)), std::move(otherwise)}, at};
        }
        return first;
    }

    /// An expression, or several with commas between them as a tuple.
    [[nodiscard]] expression parse_tuple() {
        const position at = now().at;
        expression first = parse_expression();
        if (!sees_sign(",")) return first;
        std::vector<expression> items;
        items.push_back(std::move(first));
        while (skip_sign(",") && !ends_tuple()) items.push_back(parse_expression());
        return {sequence_display{std::move(items), sequence_kind::tuple}, at};
    }

    /// What a loop runs over: a tuple of expressions that have no if-else of their own, for `if` is the loop's.
    [[nodiscard]] expression parse_iterable() {
        const position at = now().at;
        expression first = parse_or();
        if (!sees_sign(",")) return first;
        std::vector<expression> items;
        items.push_back(std::move(first));
        while (skip_sign(",") && !ends_tuple()) items.push_back(parse_or());
        return {sequence_display{std::move(items), sequence_kind::tuple}, at};
    }

    /// Filters one after another, the first without its |, as {% filter %} has them.
    [[nodiscard]] std::vector<step> parse_filters() {
        std::vector<step> filters;
        do filters.push_back(parse_filter());
        while (skip_sign("|"));
        return filters;
    }

    [[nodiscard]] argument_list parse_arguments() {
        argument_list arguments;
        expect_sign("(");
        while (!skip_sign(")")) {
            if (!arguments.positional.empty() || !arguments.named.empty()) {
                expect_sign(",");
                if (skip_sign(")")) break;
            }
            if (now().kind == token_kind::name && ahead(1).kind == token_kind::sign && ahead(1).content == "=") {
                std::string name = take().content;
                ++next_;
                arguments.named.push_back({std::move(name), parse_expression()});
            } else if (!arguments.named.empty()) {
                fail_expected("an argument with a name after the others that have one");
            } else {
                arguments.positional.push_back(parse_expression());
            }
        }
        return arguments;
    }

    [[nodiscard]] symbol symbol_of(const std::string& name) {
        const auto [found, is_new] = symbols_.emplace(name, static_cast<symbol>(names_.size()));
        if (is_new) names_.push_back(name);
        return found->second;
    }

protected:
    /// Bounds how deep the parser, and with it everything that walks the tree, can recurse.
    class nesting {
    public:
        explicit nesting(expression_parser& parser) : parser_(parser) {
            if (++parser_.depth_ > max_depth)
                parser_.source_.fail(parser_.now().at, "wanted at most ", max_depth, " levels of nesting, got more");
        }
        nesting(const nesting&) = delete;
        nesting& operator=(const nesting&) = delete;
        ~nesting() { --parser_.depth_; }

    private:
        static constexpr std::size_t max_depth = 150;
        expression_parser& parser_;
    };

    [[nodiscard]] const token& now() const { return tokens_[next_]; }
    [[nodiscard]] const token& ahead(std::size_t count) const {
        return tokens_[std::min(next_ + count, tokens_.size() - 1)];
    }
    const token& take() {
        const token& taken = tokens_[next_];
        if (next_ + 1 < tokens_.size()) ++next_;
        return taken;
    }
    [[nodiscard]] bool sees(token_kind kind) const { return now().kind == kind; }
    [[nodiscard]] bool sees_sign(std::string_view s) const { return sees(token_kind::sign) && now().content == s; }
    [[nodiscard]] bool sees_name(std::string_view n) const { return sees(token_kind::name) && now().content == n; }
    bool skip(bool is_there) {
        if (is_there) take();
        return is_there;
    }
    bool skip_sign(std::string_view s) { return skip(sees_sign(s)); }
    bool skip_name(std::string_view n) { return skip(sees_name(n)); }
    void expect_sign(std::string_view s) {
        if (!skip_sign(s)) fail_expected(s);
    }
    const token& expect(token_kind kind, std::string_view what) {
        if (!sees(kind)) fail_expected(what);
        return take();
    }
    [[noreturn]] void fail_expected(std::string_view what) const {
        const bool is_end = now().kind == token_kind::end;
        source_.fail(now().at, "wanted ", what, ", got ",
                     is_end ? "the end of the template" : std::string_view(now().content).substr(0, 40));
    }
    static expression_ptr boxed(expression e) { return std::make_unique<expression>(std::move(e)); }

    const source_text& source_;
    std::vector<std::string> names_;

private:
    [[nodiscard]] bool ends_tuple() const {
        return sees(token_kind::output_end) || sees(token_kind::block_end) || sees_sign(")") || sees_sign("=") ||
               sees_name("if") || sees_name("recursive");
    }

    expression parse_connection(connective op, std::string_view word,
                                expression (expression_parser::*parse_operand)()) {
        const position at = now().at;
        expression first = (this->*parse_operand)();
        if (!sees_name(word)) return first;
        std::vector<expression> operands;
        operands.push_back(std::move(first));
        while (skip_name(word)) operands.push_back((this->*parse_operand)());
        return {connection{op, std::move(operands)}, at};
    }
    expression parse_or() { return parse_connection(connective::any, "or", &expression_parser::parse_and); }
    expression parse_and() { return parse_connection(connective::all, "and", &expression_parser::parse_not); }
    expression parse_not() {
        const nesting inside(*this);
        const position at = now().at;
        if (sees_name("not") && !(ahead(1).kind == token_kind::name && ahead(1).content == "in")) {
            take();
            return {unary{sign::logical_not, boxed(parse_not())}, at};
        }
        return parse_comparison();
    }

    expression parse_comparison() {
        const position at = now().at;
        expression first = parse_sum();
        std::vector<comparison::operand> rest;
        for (;;) {
            constexpr std::pair<std::string_view, comparison_operator> signs[] = {
                {"==", comparison_operator::equal},  {"!=", comparison_operator::different},
                {"<", comparison_operator::less},    {"<=", comparison_operator::at_most},
                {">", comparison_operator::greater}, {">=", comparison_operator::at_least}};
            const auto* found =
                std::find_if(std::begin(signs), std::end(signs), [&](const auto& s) { return sees_sign(s.first); });
            if (found != std::end(signs)) {
                take();
                rest.push_back({found->second, parse_sum()});
            } else if (skip_name("in")) {
                rest.push_back({comparison_operator::in, parse_sum()});
            } else if (sees_name("not") && ahead(1).kind == token_kind::name && ahead(1).content == "in") {
                next_ += 2;
                rest.push_back({comparison_operator::not_in, parse_sum()});
            } else {
                break;
            }
        }
        if (rest.empty()) return first;
        return {comparison{boxed(std::move(first)), std::move(rest)}, at};
    }

    using operators = std::initializer_list<arithmetic_operator>;
    expression parse_calculation(operators known, expression (expression_parser::*parse_operand)()) {
        expression first = (this->*parse_operand)();
        const position at = now().at;
        std::vector<calculation::operand> rest;
        for (;;) {
            const auto* op =
                std::find_if(known.begin(), known.end(), [&](arithmetic_operator o) { return sees_sign(sign_of(o)); });
            if (op == known.end()) break;
            take();
            rest.push_back({*op, (this->*parse_operand)()});
        }
        if (rest.empty()) return first;
        return {calculation{boxed(std::move(first)), std::move(rest)}, at};
    }
    expression parse_sum() {
        return parse_calculation({arithmetic_operator::add, arithmetic_operator::subtract},
                                 &expression_parser::parse_concatenation);
    }
    expression parse_concatenation() {
        const position at = now().at;
        expression first = parse_product();
        if (!sees_sign("~")) return first;
        std::vector<expression> parts;
        parts.push_back(std::move(first));
        while (skip_sign("~")) parts.push_back(parse_product());
        return {concatenation{std::move(parts)}, at};
    }
    expression parse_product() {
        return parse_calculation({arithmetic_operator::multiply, arithmetic_operator::divide,
                                  arithmetic_operator::divide_down, arithmetic_operator::modulo},
                                 &expression_parser::parse_power);
    }
    expression parse_power() {
        return parse_calculation({arithmetic_operator::power}, &expression_parser::parse_unary);
    }

    expression parse_unary() { return with_steps(parse_signed(), all_steps); }
    // Filters and tests take a sign along with what follows it: -x|abs is (-x)|abs.
    expression parse_signed() {
        const nesting inside(*this);
        const position at = now().at;
        for (const auto& [s, op] : {std::pair("-", sign::minus), std::pair("+", sign::plus)})
            if (skip_sign(s)) return {unary{op, boxed(parse_signed())}, at};
        return with_steps(parse_primary(), without_filters);
    }

    enum which_steps { all_steps, without_filters };
    expression with_steps(expression first, which_steps which) {
        std::vector<step> steps;
        const position at = first.at;
        if (auto* before = std::get_if<chain>(&first.form)) {
            steps = std::move(before->steps);
            first = expression(std::move(*before->first));
        }
        for (;;) {
            const position here = now().at;
            if (which == without_filters && (sees_sign(".") || sees_sign("[")))
                steps.push_back(skip_sign(".") ? parse_attribute(here) : parse_subscript(here));
            else if (sees_sign("("))
                steps.push_back({call_step{parse_arguments()}, here});
            else if (which == all_steps && skip_sign("|"))
                steps.push_back(parse_filter());
            else if (which == all_steps && skip_name("is"))
                steps.push_back(parse_test(here));
            else
                break;
        }
        if (steps.empty()) return first;
        return {chain{boxed(std::move(first)), std::move(steps)}, at};
    }

    step parse_attribute(position at) {
        if (sees(token_kind::integer)) return {subscript_step{boxed(parse_number())}, at};
        return {attribute_step{expect(token_kind::name, "the name of an attribute").content}, at};
    }

    step parse_subscript(position at) {
        expect_sign("[");
        expression_ptr parts[3];
        std::size_t count = 0;
        bool is_slice = false;
        for (;;) {
            if (!sees_sign(":") && !sees_sign("]")) parts[count] = boxed(parse_expression());
            if (skip_sign("]")) break;
            if (!sees_sign(":") || count == 2) fail_expected("]");
            take();
            ++count;
            is_slice = true;
        }
        if (is_slice) return {slice_step{std::move(parts[0]), std::move(parts[1]), std::move(parts[2])}, at};
        if (parts[0] == nullptr) source_.fail(at, "wanted an index between the brackets, got none");
        return {subscript_step{std::move(parts[0])}, at};
    }

    step parse_filter() {
        const token& name = expect(token_kind::name, "the name of a filter");
        argument_list arguments;
        if (sees_sign("(")) arguments = parse_arguments();
        return {filter_step{name.content, find_filter(name.content), std::move(arguments)}, name.at};
    }

    step parse_test(position at) {
        const auto meaning = skip_name("not") ? test_step::sense::is_not : test_step::sense::is;
        const std::string name = expect(token_kind::name, "the name of a test").content;
        argument_list arguments;
        const bool ends = sees_name("else") || sees_name("or") || sees_name("and");
        if (sees_sign("("))
            arguments = parse_arguments();
        else if (sees_name("is"))
            fail_expected("no second test in a row");
        else if (!ends && (sees(token_kind::name) || sees(token_kind::string) || sees(token_kind::integer) ||
                           sees(token_kind::real) || sees_sign("[") || sees_sign("{")))
            arguments.positional.push_back(with_steps(parse_primary(), without_filters));
        const builtin* test = find(tests, name);
        if (test == nullptr) source_.fail(at, "wanted the name of a test, got ", name);
        return {test_step{name, test, std::move(arguments), meaning}, at};
    }

    expression parse_number() {
        const token& number = take();
        if (number.kind == token_kind::integer) {
            std::int64_t n = 0;
            const auto [end, problem] =
                std::from_chars(number.content.data(), number.content.data() + number.content.size(), n);
            if (problem != std::errc())
                source_.fail(number.at, "wanted an integer of 64 bits, got ", number.content.substr(0, 40));
            return {literal{n}, number.at};
        }
        double n = 0;
        const auto [end, problem] =
            std::from_chars(number.content.data(), number.content.data() + number.content.size(), n);
        if (problem != std::errc())
            source_.fail(number.at, "wanted a number that a double can hold, got ", number.content.substr(0, 40));
        return {literal{n}, number.at};
    }

    expression parse_primary() {
        const nesting inside(*this);
        const position at = now().at;
        if (sees(token_kind::integer) || sees(token_kind::real)) return parse_number();
        if (sees(token_kind::string)) {
            std::string text;
            while (sees(token_kind::string)) text += take().content;
            return {literal{value(std::move(text))}, at};
        }
        if (sees(token_kind::name)) {
            const std::string& name = take().content;
            if (name == "true" || name == "True") return {literal{true}, at};
            if (name == "false" || name == "False") return {literal{false}, at};
            if (name == "none" || name == "None") return {literal{none{}}, at};
            return {variable{symbol_of(name)}, at};
        }
        if (skip_sign("(")) {
            if (skip_sign(")")) return {sequence_display{{}, sequence_kind::tuple}, at};
            expression inner = parse_tuple();
            expect_sign(")");
            return inner;
        }
        if (skip_sign("[")) {
            std::vector<expression> items;
            while (!skip_sign("]")) {
                if (!items.empty()) expect_sign(",");
                if (!items.empty() && skip_sign("]")) break;
                items.push_back(parse_expression());
            }
            return {sequence_display{std::move(items), sequence_kind::list}, at};
        }
        if (skip_sign("{")) {
            std::vector<mapping_display::entry> entries;
            while (!skip_sign("}")) {
                if (!entries.empty()) expect_sign(",");
                if (!entries.empty() && skip_sign("}")) break;
                expression key = parse_expression();
                expect_sign(":");
                entries.push_back({std::move(key), parse_expression()});
            }
            return {mapping_display{std::move(entries)}, at};
        }
        fail_expected("an expression");
    }

    std::vector<token> tokens_;
    std::size_t next_ = 0;
    std::size_t depth_ = 0;
    std::unordered_map<std::string, symbol> symbols_;
};

}  // namespace tessera::jinja
