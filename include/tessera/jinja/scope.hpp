// Where the names of a template get their values.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include "tessera/jinja/syntax.hpp"
#include "tessera/jinja/value.hpp"

namespace tessera::jinja {

/// The names of one block; what is not found there is looked for in the block around it. Blocks have few names.
class scope {
public:
    explicit scope(scope* around = nullptr) : around_(around) {}

    /// A name's value, or null, and how many other names were looked at on the way.
    struct place {
        const value* what;
        std::size_t passed;
    };
    [[nodiscard]] place find(symbol name) const noexcept {
        std::size_t passed = 0;
        for (const scope* s = this; s != nullptr; s = s->around_, ++passed)
            for (const auto& [known, v] : s->names_) {
                if (known == name) return {&v, passed};
                ++passed;
            }
        return {nullptr, passed};
    }
    /// Names of this block alone.
    [[nodiscard]] std::size_t size() const noexcept { return names_.size(); }
    void set(symbol name, value v) {
        for (auto& [known, old] : names_)
            if (known == name) {
                old = std::move(v);
                return;
            }
        names_.emplace_back(name, std::move(v));
    }

    /// Marks this block and those around it as needed after their end, because a macro was defined here.
    void keep() noexcept {
        for (scope* s = this; s != nullptr; s = s->around_) s->is_kept_ = true;
    }
    [[nodiscard]] bool is_kept() const noexcept { return is_kept_; }

private:
    scope* around_;
    std::vector<std::pair<symbol, value>> names_;
    bool is_kept_ = false;
};

}  // namespace tessera::jinja
