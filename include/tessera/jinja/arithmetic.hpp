// Arithmetic on values: Python's operators, on integers of 64 bits.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tessera/jinja/operations.hpp"
#include "tessera/jinja/percent_format.hpp"
#include "tessera/jinja/runtime.hpp"
#include "tessera/jinja/value.hpp"

namespace tessera::jinja {

enum class arithmetic_operator { add, subtract, multiply, divide, divide_down, modulo, power };

[[nodiscard]] constexpr std::string_view sign_of(arithmetic_operator op) noexcept {
    constexpr std::string_view signs[] = {"+", "-", "*", "/", "//", "%", "**"};
    return signs[static_cast<std::size_t>(op)];
}

namespace detail {

[[noreturn]] inline void fail_overflow(const runtime& run) { run.fail("wanted integers of 64 bits, got a larger one"); }

inline std::int64_t floor_quotient(const runtime& run, std::int64_t a, std::int64_t b) {
    if (a == std::numeric_limits<std::int64_t>::min() && b == -1) fail_overflow(run);
    return a / b - (a % b != 0 && (a < 0) != (b < 0) ? 1 : 0);
}

inline value integer_power(const runtime& run, std::int64_t base, std::int64_t exponent) {
    if (exponent < 0) return std::pow(static_cast<double>(base), static_cast<double>(exponent));
    std::int64_t result = 1;
    while (exponent > 0) {
        if (exponent % 2 == 1 && __builtin_mul_overflow(result, base, &result)) fail_overflow(run);
        exponent /= 2;
        if (exponent > 0 && __builtin_mul_overflow(base, base, &base)) fail_overflow(run);
    }
    return result;
}

inline value on_integers(const runtime& run, arithmetic_operator op, std::int64_t a, std::int64_t b) {
    using enum arithmetic_operator;
    std::int64_t result = 0;
    bool overflows = false;
    switch (op) {
        case add: overflows = __builtin_add_overflow(a, b, &result); break;
        case subtract: overflows = __builtin_sub_overflow(a, b, &result); break;
        case multiply: overflows = __builtin_mul_overflow(a, b, &result); break;
        case divide: return static_cast<double>(a) / static_cast<double>(b);
        case divide_down: return floor_quotient(run, a, b);
        case modulo: return b == -1 ? std::int64_t{0} : a - b * floor_quotient(run, a, b);
        case power: return integer_power(run, a, b);
    }
    if (overflows) fail_overflow(run);
    return result;
}

inline value on_floats(const runtime& run, arithmetic_operator op, double a, double b) {
    using enum arithmetic_operator;
    switch (op) {
        case add: return a + b;
        case subtract: return a - b;
        case multiply: return a * b;
        case divide: return a / b;
        case divide_down: return std::floor(a / b);
        case modulo: {
            const double rest = std::fmod(a, b);
            return rest != 0.0 && (rest < 0) != (b < 0) ? rest + b : rest;
        }
        case power: break;
    }
    const double result = std::pow(a, b);
    if (std::isnan(result) && !std::isnan(a) && !std::isnan(b))
        run.fail("wanted a real result of **, got a complex one");
    return result;
}

// A string or a list several times in a row.
inline value repeated(runtime& run, const value& what, std::int64_t times) {
    const auto count = static_cast<std::size_t>(std::max<std::int64_t>(times, 0));
    const sequence* items = what.as_sequence();
    const std::size_t size = items != nullptr ? items->items.size() : what.text().size();
    if (size == 0) return items != nullptr ? run.list({}, items->kind) : value(std::string());
    if (count > run.bounds().steps / size)
        run.fail_limit("wanted a template of at most ", run.bounds().steps, " steps, got more");
    if (items == nullptr) {
        run.spend(size * count + sizeof(value));
        std::string text;
        text.reserve(size * count);
        for (std::size_t i = 0; i < count; ++i) text += what.text();
        return text;
    }
    run.spend_elements(size * count);
    std::vector<value> all;
    all.reserve(size * count);
    for (std::size_t i = 0; i < count; ++i) all.insert(all.end(), items->items.begin(), items->items.end());
    return run.list(std::move(all), items->kind);
}

}  // namespace detail

/// `a op b`. Fails where Python does, and when an integer does not fit 64 bits.
[[nodiscard]] inline value calculate(runtime& run, arithmetic_operator op, const value& a, const value& b) {
    using enum arithmetic_operator;
    defined(run, a);
    defined(run, b);
    if (op == modulo && a.is<string>()) return run.text(percent_format(run, a.text(), b));
    if (const auto x = as_float(a), y = as_float(b); x && y) {
        if (*y == 0.0 && (op == divide || op == divide_down || op == modulo)) run.fail("division by zero");
        if (const auto i = as_integer(a), j = as_integer(b); i && j) return detail::on_integers(run, op, *i, *j);
        return detail::on_floats(run, op, *x, *y);
    }
    const sequence *x = a.as_sequence(), *y = b.as_sequence();
    if (op == add) {
        if (a.is<string>() && b.is<string>()) {
            run.spend(a.text().size() + b.text().size());
            return run.text(std::string(a.text()).append(b.text()));
        }
        if (x && y && x->kind == y->kind && x->kind != sequence_kind::generator) {
            run.spend_elements(x->items.size() + y->items.size());
            std::vector<value> all = x->items;
            all.insert(all.end(), y->items.begin(), y->items.end());
            return run.list(std::move(all), x->kind);
        }
        if (a.is<string>()) run.fail("can only concatenate str (not \"", type_name(b), "\") to str");
    }
    if (op == multiply) {
        const auto can_repeat = [](const value& v, const sequence* items) {
            return v.is<string>() || (items && items->kind != sequence_kind::generator);
        };
        if (const auto times = as_integer(b); times && can_repeat(a, x)) return detail::repeated(run, a, *times);
        if (const auto times = as_integer(a); times && can_repeat(b, y)) return detail::repeated(run, b, *times);
    }
    run.fail("unsupported operand type(s) for ", sign_of(op), ": '", type_name(a), "' and '", type_name(b), "'");
}

}  // namespace tessera::jinja
