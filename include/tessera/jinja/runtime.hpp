// What one rendering shares: its limits, its clock, and the place where it is.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/jinja/limits.hpp"
#include "tessera/jinja/source_text.hpp"
#include "tessera/jinja/value.hpp"

namespace tessera::jinja {

/// What a template's own raise_exception throws.
class raised_error : public error {
public:
    raised_error(const std::string& where, std::string message)
        : error(concat(where, "the template refuses: ", message)), message_(std::move(message)) {}
    /// The template's words alone.
    [[nodiscard]] const std::string& message() const noexcept { return message_; }

private:
    std::string message_;
};

/// What a rendering that goes beyond its limits throws.
class limit_error : public error {
public:
    using error::error;
};

/// The state of one rendering that every operation can reach.
class runtime {
public:
    runtime(const source_text& source, const limits& bounds, const std::tm& now)
        : source_(source), bounds_(bounds), now_(now) {}
    runtime(const runtime&) = delete;
    runtime& operator=(const runtime&) = delete;
    // Containers can come to hold themselves through append and the like; emptying the changed ones sets them free.
    ~runtime() {
        for (const value& changed : changed_) {
            if (sequence* items = changed.as_sequence()) items->items.clear();
            if (mapping* entries = changed.as_mapping()) entries->entries.clear();
        }
    }

    [[nodiscard]] const limits& bounds() const noexcept { return bounds_; }
    [[nodiscard]] const std::tm& now() const noexcept { return now_; }

    /// Says where in the source the next operation stands; errors name the place.
    void go_to(position at) noexcept { at_ = at; }
    [[nodiscard]] position at() const noexcept { return at_; }

    template <class... Parts>
    [[noreturn]] void fail(const Parts&... parts) const {
        source_.fail(at_, parts...);
    }
    [[noreturn]] void raise(std::string message) const { throw raised_error(source_.where(at_), std::move(message)); }

    template <class... Parts>
    [[noreturn]] void fail_limit(const Parts&... parts) const {
        throw limit_error(concat(source_.where(at_), parts...));
    }

    /// Counts work: operations, turns of loops, bytes and elements looked at or made. To be called before the work is
    /// done. Throws when there was too much of it.
    void spend(std::size_t steps) {
        if (steps > bounds_.steps - spent_)
            fail_limit("wanted a template of at most ", bounds_.steps, " steps, got more");
        spent_ += steps;
    }
    [[nodiscard]] std::uint64_t spent() const noexcept { return spent_; }
    /// An element of a list counts as much as the bytes it takes.
    void spend_elements(std::size_t count) { spend(sizeof(value) * std::min(count, bounds_.steps)); }
    void check_depth(std::size_t depth) const {
        if (depth > bounds_.depth) fail_limit("wanted nesting of at most ", bounds_.depth, " levels, got more");
    }
    /// One level of nesting, for as long as it lives. Throws when it is one too many.
    class level {
    public:
        explicit level(runtime& run) : run_(run) {
            run_.check_depth(run_.depth_ + 1);
            ++run_.depth_;
        }
        level(const level&) = delete;
        level& operator=(const level&) = delete;
        ~level() { --run_.depth_; }

    private:
        runtime& run_;
    };

    /// Text, list, tuple or mapping as a value, counted as work.
    [[nodiscard]] value text(std::string made) {
        spend(made.size() + sizeof(value));
        return value(std::move(made));
    }
    [[nodiscard]] value list(std::vector<value> items, sequence_kind kind = sequence_kind::list) {
        spend_elements(items.size() + 1);
        return checked(make_sequence(std::move(items), kind));
    }
    [[nodiscard]] value tuple(std::vector<value> items) { return list(std::move(items), sequence_kind::tuple); }
    [[nodiscard]] value generator(std::vector<value> items) { return list(std::move(items), sequence_kind::generator); }
    [[nodiscard]] value map(std::vector<std::pair<value, value>> entries) {
        spend_elements(2 * entries.size() + 1);
        return checked(make_mapping(std::move(entries)));
    }
    /// To be called with a container that is about to get a new element.
    void note_change(const value& container, const value& element) {
        spend_elements(2);
        const std::size_t grown = height(checked(element)) + 1;
        if (sequence* items = container.as_sequence()) {
            if (items->items.size() == items->items.capacity()) spend(items->items.size());  // will be moved
            items->height = std::max(items->height, grown);
        }
        if (mapping* entries = container.as_mapping()) entries->height = std::max(entries->height, grown);
        changed_.push_back(container);
        checked(container);
    }

private:
    const value& checked(const value& v) const {
        if (height(v) > bounds_.value_depth)
            fail_limit("wanted lists and mappings at most ", bounds_.value_depth, " deep, got deeper ones");
        return v;
    }

    const source_text& source_;
    const limits& bounds_;
    const std::tm& now_;
    position at_ = 0;
    std::uint64_t spent_ = 0;
    std::size_t depth_ = 0;
    std::vector<value> changed_;
};

}  // namespace tessera::jinja
