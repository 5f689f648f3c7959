// Values that are more than data: what can be called, and what has attributes of its own.
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "tessera/jinja/runtime.hpp"
#include "tessera/jinja/value.hpp"

namespace tessera::jinja {

/// What a call hands over.
struct arguments {
    std::vector<value> positional;
    std::vector<std::pair<std::string_view, value>> named;  // the names live in the template
};

/// A function, macro, method, namespace or loop.
class object {
public:
    object() = default;
    object(const object&) = delete;
    object& operator=(const object&) = delete;
    virtual ~object() = default;

    [[nodiscard]] virtual std::string_view type_name() const noexcept = 0;
    /// The attribute `name`, undefined when there is none.
    [[nodiscard]] virtual value attribute(runtime&, std::string_view name) const {
        return undefined{concat("'", type_name(), " object' has no attribute '", name, "'")};
    }
    virtual void set_attribute(runtime& run, std::string_view name, value) {
        run.fail("cannot assign attribute '", name, "': wanted a namespace, got a ", type_name());
    }
    [[nodiscard]] virtual bool is_callable() const noexcept { return false; }
    /// Levels of containers that belong to it.
    [[nodiscard]] virtual std::size_t height() const noexcept { return 0; }
    virtual value call(runtime& run, arguments) const { run.fail("'", type_name(), "' object is not callable"); }
};

/// A new object as a value.
template <class Object, class... Arguments>
[[nodiscard]] value make_object(Arguments&&... given) {
    return value::object_ptr(std::make_shared<Object>(std::forward<Arguments>(given)...));
}

inline std::size_t height(const value& v) noexcept {
    if (const sequence* items = v.as_sequence()) return items->height;
    if (const mapping* entries = v.as_mapping()) return entries->height;
    return v.as_object() != nullptr ? v.as_object()->height() : 0;
}

}  // namespace tessera::jinja
