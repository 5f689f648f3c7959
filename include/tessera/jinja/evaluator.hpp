// Walks the statements of a syntax tree: to text.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "tessera/jinja/builtin.hpp"
#include "tessera/jinja/expression_evaluator.hpp"
#include "tessera/jinja/globals.hpp"
#include "tessera/jinja/objects.hpp"
#include "tessera/jinja/operations.hpp"
#include "tessera/jinja/print.hpp"
#include "tessera/jinja/runtime.hpp"
#include "tessera/jinja/scope.hpp"
#include "tessera/jinja/syntax.hpp"
#include "tessera/jinja/value.hpp"

namespace tessera::jinja {

/// One rendering of a template.
class evaluator : expression_evaluator {
public:
    evaluator(runtime& run, const syntax_tree& tree)
        : expression_evaluator(run, tree),
          varargs_(tree.find("varargs")),
          kwargs_(tree.find("kwargs")),
          caller_(tree.find("caller")),
          loop_(tree.find("loop")) {
        for (const builtin& function : globals) set(function.name, make_object<bound_builtin>(function, none{}));
    }

    /// Gives a variable its value; one that the template does not mention is left out.
    void set(std::string_view name, value v) {
        if (const auto known = tree_.find(name)) globals_.set(*known, std::move(v));
    }

    [[nodiscard]] std::string render() {
        walk(tree_.body);
        return std::move(out_);
    }

private:
    enum class flow { onward, out_of_loop, next_turn };

    // Names of a block, as long as it runs; longer when a macro needs them.
    class inner_scope {
    public:
        inner_scope(evaluator& owner, scope* around)
            : owner_(owner), before_(owner.here_), own_(std::make_unique<scope>(around)) {
            owner_.here_ = own_.get();
        }
        explicit inner_scope(evaluator& owner) : inner_scope(owner, owner.here_) {}
        inner_scope(const inner_scope&) = delete;
        inner_scope& operator=(const inner_scope&) = delete;
        ~inner_scope() {
            owner_.here_ = before_;
            if (own_->is_kept()) owner_.kept_.push_back(std::move(own_));
        }

    private:
        evaluator& owner_;
        scope* before_;
        std::unique_ptr<scope> own_;
    };

    class macro_object final : public object {
    public:
        macro_object(evaluator& owner, const macro_definition& definition)
            : owner_(owner), definition_(definition), around_(owner.here_) {
            around_->keep();
        }
        [[nodiscard]] std::string_view type_name() const noexcept override { return "Macro"; }
        [[nodiscard]] bool is_callable() const noexcept override { return true; }
        [[nodiscard]] value attribute(runtime& run, std::string_view name) const override {
            return name == "name" ? value(definition_.name) : object::attribute(run, name);
        }
        value call(runtime&, arguments given) const override {
            return owner_.call_macro(definition_, around_, std::move(given));
        }

    private:
        evaluator& owner_;
        const macro_definition& definition_;
        scope* around_;
    };

    value call_macro(const macro_definition& macro, scope* around, arguments given) {
        const runtime::level inside(run_);
        const position called_at = run_.at();
        const inner_scope names(*this, around);
        const std::size_t count = macro.parameters.size();
        run_.spend(count * (1 + given.named.size()));
        for (std::size_t i = 0; i < count; ++i) {
            const auto& [name, otherwise] = macro.parameters[i];
            const std::string& spelling = tree_.names[name];
            const auto by_name = std::find_if(given.named.begin(), given.named.end(),
                                              [&](const auto& n) { return n.first == spelling; });
            if (i < given.positional.size()) {
                set_here(name, given.positional[i]);
            } else if (by_name != given.named.end()) {
                set_here(name, std::move(by_name->second));
                given.named.erase(by_name);
            } else {
                set_here(name, otherwise != nullptr ? evaluate(*otherwise)
                                                    : undefined{concat("parameter '", spelling, "' was not provided")});
            }
        }
        run_.go_to(called_at);
        bind_rest(macro, std::move(given));
        return captured(macro.body);
    }

    // What a call hands over beyond the parameters: varargs, kwargs and caller, where the template knows these names.
    void bind_rest(const macro_definition& macro, arguments given) {
        const auto is_caller = [](const auto& argument) { return argument.first == "caller"; };
        const auto caller = std::find_if(given.named.begin(), given.named.end(), is_caller);
        if (caller_ && caller != given.named.end()) set_here(*caller_, caller->second);
        if (caller != given.named.end()) given.named.erase(caller);
        const std::size_t count = macro.parameters.size();
        std::vector<value> more;
        for (std::size_t i = count; i < given.positional.size(); ++i) more.push_back(given.positional[i]);
        if (!varargs_ && !more.empty())
            run_.fail("macro '", macro.name, "' takes not more than ", count, " argument(s)");
        if (varargs_) set_here(*varargs_, run_.tuple(std::move(more)));
        if (!kwargs_ && !given.named.empty())
            run_.fail("macro '", macro.name, "' takes no keyword argument '", given.named.front().first, "'");
        std::vector<std::pair<value, value>> named;
        for (auto& [name, v] : given.named) named.emplace_back(value(name), std::move(v));
        if (kwargs_) set_here(*kwargs_, run_.map(std::move(named)));
    }

    flow walk(const block& statements) {
        const runtime::level inside(run_);
        for (const statement& s : statements) {
            run_.spend(1);
            const flow next = std::visit([&](const auto& form) { return execute(form, s.at); }, s.form);
            if (next != flow::onward) return next;
        }
        return flow::onward;
    }

    // What statements print, instead of printing it.
    std::string captured(const block& statements) {
        std::string outside = std::exchange(out_, {});
        walk(statements);
        return std::exchange(out_, std::move(outside));
    }

    void check_output() const {
        if (out_.size() > run_.bounds().output_bytes)
            run_.fail_limit("wanted an output of at most ", run_.bounds().output_bytes, " bytes, got more");
    }

    flow execute(const text_statement& s, position) {
        run_.spend(s.text.size());
        out_ += s.text;
        check_output();
        return flow::onward;
    }
    flow execute(const output_statement& s, position) {
        const value v = evaluate(s.what);
        run_.go_to(s.what.at);
        print(run_, v, out_);
        check_output();
        return flow::onward;
    }
    flow execute(const if_statement& s, position) {
        for (const auto& [condition, body] : s.branches)
            if (is_true(evaluate(condition))) return walk(body);
        return walk(s.otherwise);
    }

    flow execute(const for_statement& s, position at) {
        const value from = evaluate(s.iterable);
        run_.go_to(at);
        const auto loop = std::make_shared<loop_object>(elements_to_visit(s, from));
        if (loop->is_over()) {
            const inner_scope names(*this);
            return walk(s.otherwise);
        }
        struct ending {
            loop_object& loop;
            ~ending() { loop.end(); }
        } const at_the_end{*loop};
        for (; !loop->is_over(); loop->advance()) {
            run_.spend(1);
            const inner_scope names(*this);
            if (loop_) set_here(*loop_, value::object_ptr(loop));
            assign(s.item, loop->item());
            if (walk(s.body) == flow::out_of_loop) break;
        }
        return flow::onward;
    }

    std::vector<value> elements_to_visit(const for_statement& s, const value& from) {
        std::vector<value> items = elements(run_, from);
        if (!s.condition) return items;
        std::vector<value> kept;
        for (value& item : items) {
            const inner_scope names(*this);
            assign(s.item, item);
            if (is_true(evaluate(*s.condition))) kept.push_back(std::move(item));
        }
        return kept;
    }

    flow execute(const set_statement& s, position) {
        const value v = evaluate(s.what);
        assign(s.to, v);
        return flow::onward;
    }
    flow execute(const set_block_statement& s, position) {
        assign(s.to, filtered(s.filters, s.body));
        return flow::onward;
    }
    flow execute(const filter_block_statement& s, position at) {
        const value v = filtered(s.filters, s.body);
        run_.go_to(at);
        print(run_, v, out_);
        check_output();
        return flow::onward;
    }
    value filtered(const std::vector<step>& filters, const block& body) {
        const inner_scope names(*this);
        value v = captured(body);
        for (const step& filter : filters) v = take(v, filter);
        return v;
    }

    flow execute(const macro_statement& s, position) {
        run_.spend_elements(2);
        set_here(s.name, make_object<macro_object>(*this, s.definition));
        return flow::onward;
    }
    flow execute(const call_statement& s, position at) {
        const auto& callee = std::get<chain>(s.what.form);
        value v = evaluate(*callee.first);
        for (std::size_t i = 0; i + 1 < callee.steps.size(); ++i) v = take(v, callee.steps[i]);
        arguments given = evaluate(std::get<call_step>(callee.steps.back().form).arguments);
        given.named.emplace_back("caller", make_object<macro_object>(*this, s.caller));
        run_.go_to(at);
        print(run_, call(v, std::move(given)), out_);
        check_output();
        return flow::onward;
    }
    flow execute(const with_statement& s, position) {
        std::vector<value> values;
        for (const auto& [to, what] : s.assignments) values.push_back(evaluate(what));
        const inner_scope names(*this);
        for (std::size_t i = 0; i < values.size(); ++i) assign(s.assignments[i].first, values[i]);
        return walk(s.body);
    }
    flow execute(jump_statement s, position) {
        return s == jump_statement::out_of_loop ? flow::out_of_loop : flow::next_turn;
    }

    void assign(const target& to, const value& v) {
        run_.go_to(to.at);
        if (const auto* name = std::get_if<symbol>(&to.form)) return set_here(*name, v);
        if (const auto* attribute = std::get_if<std::pair<symbol, std::string>>(&to.form)) {
            const value* found = find_name(attribute->first);
            object* thing = found != nullptr ? found->as_object() : nullptr;
            if (thing == nullptr)
                run_.fail("cannot assign attribute on non-namespace object ", tree_.names[attribute->first]);
            return thing->set_attribute(run_, attribute->second, v);
        }
        const auto& parts = std::get<std::vector<target>>(to.form);
        const std::vector<value> items = elements(run_, v);
        if (items.size() != parts.size()) run_.fail("wanted ", parts.size(), " values to unpack, got ", items.size());
        for (std::size_t i = 0; i < parts.size(); ++i) assign(parts[i], items[i]);
    }

    std::optional<symbol> varargs_, kwargs_, caller_, loop_;
    std::vector<std::unique_ptr<scope>> kept_;
    std::string out_;
};

}  // namespace tessera::jinja
