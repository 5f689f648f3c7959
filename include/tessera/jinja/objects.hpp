// Namespaces and loops: values with attributes of their own.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "tessera/jinja/builtin.hpp"
#include "tessera/jinja/object.hpp"
#include "tessera/jinja/operations.hpp"
#include "tessera/jinja/value.hpp"

namespace tessera::jinja {

/// namespace(...): names that blocks inside can assign to.
class namespace_object final : public object {
public:
    namespace_object(runtime& run, std::vector<std::pair<value, value>> attributes)
        : attributes_(run.map(std::move(attributes))) {
        run.note_change(attributes_, none{});
    }
    [[nodiscard]] std::string_view type_name() const noexcept override { return "Namespace"; }
    [[nodiscard]] value attribute(runtime& run, std::string_view name) const override {
        const value* found = find(run, *attributes_.as_mapping(), name);
        return found != nullptr ? *found : object::attribute(run, name);
    }
    void set_attribute(runtime& run, std::string_view name, value v) override {
        run.note_change(attributes_, v);
        assign(run, *attributes_.as_mapping(), value(name), std::move(v));
    }

private:
    value attributes_;
};

/// `loop` inside a loop, which it walks through.
class loop_object final : public object, public std::enable_shared_from_this<loop_object> {
public:
    explicit loop_object(std::vector<value> items) : items_(std::move(items)) {}

    [[nodiscard]] bool is_over() const noexcept { return turn_ == items_.size(); }
    [[nodiscard]] const value& item() const noexcept { return items_[turn_]; }
    void advance() noexcept { ++turn_; }
    /// Lets go of everything: a loop that is kept after its end must not keep its elements.
    void end() noexcept {
        items_.clear();
        last_seen_ = {};
        turn_ = 0;
    }

    [[nodiscard]] std::string_view type_name() const noexcept override { return "LoopContext"; }
    // Said to be inline here, too: a virtual function that is not would bring the class's table into every unit.
    [[nodiscard]] inline value attribute(runtime& run, std::string_view name) const override;

    [[nodiscard]] value cycle(const invocation& c) const {
        if (c.given.empty()) c.run.fail("no items for cycling given");
        return c.given[turn_ % c.given.size()];
    }
    /// Whether the values differ from those of the last call.
    [[nodiscard]] bool changed(const invocation& c) {
        const value now = c.run.list(c.given);
        const bool is_new = last_seen_.is<undefined>() || !is_equal(c.run, now, last_seen_);
        last_seen_ = now;
        return is_new;
    }

private:
    std::vector<value> items_;
    std::size_t turn_ = 0;
    value last_seen_;
};

namespace detail {

inline loop_object& loop_of(const invocation& c) { return static_cast<loop_object&>(*c.self.as_object()); }
inline constexpr std::array loop_methods{
    builtin{"cycle", "*", cost::what_it_does, [](invocation& c) { return loop_of(c).cycle(c); }},
    builtin{"changed", "*", cost::what_it_does, [](invocation& c) -> value { return loop_of(c).changed(c); }},
};

}  // namespace detail

inline value loop_object::attribute(runtime& run, std::string_view name) const {
    const auto turn = static_cast<std::int64_t>(turn_), length = static_cast<std::int64_t>(items_.size());
    if (name == "index") return turn + 1;
    if (name == "index0") return turn;
    if (name == "revindex") return length - turn;
    if (name == "revindex0") return length - turn - 1;
    if (name == "first") return turn_ == 0;
    if (name == "last") return turn + 1 >= length;
    if (name == "length") return length;
    if (name == "depth") return std::int64_t{1};  // more in loops that call themselves only, which there are not
    if (name == "depth0") return std::int64_t{0};
    if (name == "previtem") return turn_ > 0 ? items_[turn_ - 1] : undefined{"there is no previous item"};
    if (name == "nextitem") return turn + 1 < length ? items_[turn_ + 1] : undefined{"there is no next item"};
    if (const builtin* method = find(detail::loop_methods, name)) {
        auto self = std::const_pointer_cast<loop_object>(shared_from_this());
        return make_object<bound_builtin>(*method, value::object_ptr(std::move(self)));
    }
    return object::attribute(run, name);
}

}  // namespace tessera::jinja
