// Built-in filters, tests, methods and functions: how they are described, and how a call reaches them.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tessera/jinja/object.hpp"
#include "tessera/jinja/operations.hpp"
#include "tessera/jinja/runtime.hpp"
#include "tessera/jinja/value.hpp"

namespace tessera::jinja {

/// The arguments of a call in the order of the parameters; undefined where one was left out.
struct invocation {
    runtime& run;
    value self;
    std::vector<value> given;
    std::vector<std::pair<std::string_view, value>> named{};  // only of builtins that take any

    [[nodiscard]] bool has(std::size_t i) const { return i < given.size() && !given[i].is<undefined>(); }
    [[nodiscard]] bool flag(std::size_t i) const { return has(i) && is_true(given[i]); }
    /// An integer, or what to take when it was left out. Fails for anything else.
    [[nodiscard]] std::int64_t integer(std::size_t i, std::int64_t otherwise) const {
        if (!has(i)) return otherwise;
        const auto number = as_integer(given[i]);
        if (!number) run.fail("wanted an integer, got a ", type_name(given[i]));
        return *number;
    }
    /// A string, or what to take when it was left out (or none). Fails for anything else.
    [[nodiscard]] std::string_view text(std::size_t i, std::string_view otherwise = {}) const {
        if (!has(i) || given[i].is<none>()) return otherwise;
        if (!given[i].is<string>()) run.fail("wanted a string, got a ", type_name(given[i]));
        return given[i].text();
    }
};

/// What a call is charged before it begins, beside what the function charges for what it makes.
enum class cost {
    sizes,        ///< the bytes and elements of all it is given: what goes through them once needs no charge of its own
    what_it_does  ///< nothing: the function looks at few of them, or charges for those it looks at
};

/// One built-in. Its parameters are names with blanks between them; `?` marks those that can be left out, and a `*` at
/// the end takes any more arguments, named ones as well.
struct builtin {
    std::string_view name;
    std::string_view parameters;
    cost charged;
    value (*function)(invocation&);
};

/// The bytes of a text, the elements of a container; what is in these is not counted.
[[nodiscard]] inline std::size_t size_of(const value& v) noexcept {
    if (const sequence* items = v.as_sequence()) return items->items.size();
    if (const mapping* entries = v.as_mapping()) return entries->entries.size();
    return v.text().size();
}

/// The entry with this name, or null.
[[nodiscard]] constexpr const builtin* find(std::span<const builtin> table, std::string_view name) noexcept {
    const auto found = std::find_if(table.begin(), table.end(), [&](const builtin& b) { return b.name == name; });
    return found == table.end() ? nullptr : &*found;
}

/// Calls a built-in. Fails when the arguments are not those it takes.
inline value invoke(runtime& run, const builtin& callee, value self, arguments given) {
    invocation out{run, std::move(self), std::move(given.positional), {}};
    std::string_view rest = callee.parameters;
    const bool takes_more = rest.ends_with('*');
    if (takes_more) rest.remove_suffix(1);
    std::size_t count = 0;
    while (!rest.empty()) {
        const std::size_t end = std::min(rest.find(' '), rest.size());
        std::string_view name = rest.substr(0, end);
        rest.remove_prefix(std::min(end + 1, rest.size()));
        if (name.empty()) continue;
        const bool is_optional = name.ends_with('?');
        if (is_optional) name.remove_suffix(1);
        const auto by_name =
            std::find_if(given.named.begin(), given.named.end(), [&](const auto& n) { return n.first == name; });
        if (by_name != given.named.end()) {
            if (count < out.given.size()) run.fail(callee.name, ": wanted argument ", name, " once, got it twice");
            out.given.push_back(std::move(by_name->second));
            given.named.erase(by_name);
        } else if (count >= out.given.size()) {
            if (!is_optional) run.fail(callee.name, ": wanted an argument ", name, ", got none");
            out.given.emplace_back();
        }
        ++count;
    }
    if (!takes_more && out.given.size() > count)
        run.fail(callee.name, ": wanted at most ", count, " arguments, got ", out.given.size());
    if (!takes_more && !given.named.empty())
        run.fail(callee.name, ": wanted no argument with the name ", given.named.front().first, ", got one");
    out.named = std::move(given.named);
    run.spend(1 + out.given.size() + out.named.size());
    if (callee.charged == cost::sizes) {
        run.spend(size_of(out.self));
        for (const value& v : out.given) run.spend(size_of(v));
        for (const auto& [name, v] : out.named) run.spend(size_of(v));
    }
    return callee.function(out);
}

/// A built-in as a value: a global function, or a method with its object.
class bound_builtin final : public object {
public:
    bound_builtin(const builtin& callee, value self) : callee_(callee), self_(std::move(self)) {}
    [[nodiscard]] std::string_view type_name() const noexcept override { return "builtin_function_or_method"; }
    [[nodiscard]] bool is_callable() const noexcept override { return true; }
    [[nodiscard]] std::size_t height() const noexcept override { return jinja::height(self_); }
    value call(runtime& run, arguments given) const override { return invoke(run, callee_, self_, std::move(given)); }

private:
    const builtin& callee_;
    value self_;
};

}  // namespace tessera::jinja
