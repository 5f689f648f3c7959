// Regular expressions of users, which choose tensors by their names.
#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace re2 {
class RE2;
}

namespace cli {

/// An expression that is looked for anywhere in a name. RE2 matches in time linear in the name, whatever the
/// expression.
class name_pattern {
public:
    /// Throws tessera::error that quotes the expression and says what is wrong with it, its size included.
    explicit name_pattern(const std::string& text);

    [[nodiscard]] bool is_in(std::string_view name) const;

private:
    std::shared_ptr<const re2::RE2> expression_;
};

}  // namespace cli
