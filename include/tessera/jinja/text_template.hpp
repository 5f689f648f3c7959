// A template in Jinja's language: parsed once, rendered often.
#pragma once

#include <ctime>
#include <string>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

#include "tessera/core/error.hpp"
#include "tessera/jinja/evaluator.hpp"
#include "tessera/jinja/json_text.hpp"
#include "tessera/jinja/limits.hpp"
#include "tessera/jinja/parser.hpp"
#include "tessera/jinja/runtime.hpp"
#include "tessera/jinja/source_text.hpp"
#include "tessera/jinja/syntax.hpp"

namespace tessera::jinja {

struct render_options {
    std::tm now{};  ///< what strftime_now tells
    limits bounds{};
};

/// A template as Jinja2 understands it in the set-up of transformers: trim_blocks and lstrip_blocks on, break and
/// continue, `generation` blocks, raise_exception, strftime_now, and tojson without escapes for HTML. No autoescape, no
/// inclusion of other templates, integers of 64 bits. Rendering does not change it.
class text_template {
public:
    /// `name` stands in messages for where the source comes from. Throws with line and column when it does not parse.
    explicit text_template(std::string_view source, std::string name = "template")
        : source_(source, std::move(name)), tree_(parse(source_)) {}

    /// The text for these variables, an object. Throws what the template raises (raised_error), where it does what
    /// Python would not, and when it goes beyond the limits.
    [[nodiscard]] std::string render(const nlohmann::ordered_json& variables,
                                     const render_options& options = {}) const {
        if (!variables.is_object())
            fail(source_.name(), ": wanted an object of variables, got ", variables.type_name());
        runtime run(source_, options.bounds, options.now);
        evaluator evaluate(run, tree_);
        for (auto entry = variables.begin(); entry != variables.end(); ++entry)
            evaluate.set(entry.key(), from_json(entry.value(), concat(source_.name(), ": variable ", entry.key()),
                                                options.bounds.value_depth));
        return evaluate.render();
    }

    [[nodiscard]] const source_text& source() const noexcept { return source_; }
    [[nodiscard]] const syntax_tree& tree() const noexcept { return tree_; }

private:
    source_text source_;
    syntax_tree tree_;
};

}  // namespace tessera::jinja
