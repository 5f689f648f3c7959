// A template in Jinja's language: parsed once, rendered often.
#pragma once

#include <ctime>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/jinja/evaluator.hpp"
#include "tessera/jinja/limits.hpp"
#include "tessera/jinja/parser.hpp"
#include "tessera/jinja/runtime.hpp"
#include "tessera/jinja/source_text.hpp"
#include "tessera/jinja/syntax.hpp"
#include "tessera/jinja/value.hpp"

namespace tessera::jinja {

/// Names and what they stand for. Texts are UTF-8.
using variables = std::vector<std::pair<std::string, value>>;

struct render_options {
    std::tm now{};  ///< what strftime_now tells
    limits bounds{};
};

/// A template as Jinja2 understands it with trim_blocks and lstrip_blocks, break and continue, `generation` blocks,
/// raise_exception, strftime_now, and tojson without escapes for HTML: the environment that transformers sets up. No
/// autoescape, no inclusion of other templates, integers of 64 bits. Rendering does not change it.
class text_template {
public:
    /// `name` stands in messages for where the source comes from. Throws with line and column when it does not parse.
    explicit text_template(std::string_view source, std::string name = "template")
        : source_(source, std::move(name)), tree_(parse(source_)) {}

    /// The text for these variables. Throws what the template raises (raised_error), where it does what Python would
    /// not, and when it goes beyond the limits. A template can change the lists and mappings it is given; those that it
    /// has changed are empty afterwards, so each rendering gets values of its own.
    [[nodiscard]] std::string render(variables given, const render_options& options = {}) const {
        runtime run(source_, options.bounds, options.now);
        evaluator evaluate(run, tree_);
        for (auto& [name, v] : given) {
            if (height(v) > options.bounds.value_depth)
                fail(source_.name(), ": variable ", name, ": wanted lists and mappings at most ",
                     options.bounds.value_depth, " deep, got deeper ones");
            evaluate.set(name, std::move(v));
        }
        return evaluate.render();
    }

    [[nodiscard]] const source_text& source() const noexcept { return source_; }
    [[nodiscard]] const syntax_tree& tree() const noexcept { return tree_; }

private:
    source_text source_;
    syntax_tree tree_;
};

}  // namespace tessera::jinja
