#include "name_pattern.hpp"

#include <re2/re2.h>

#include <cstddef>

#include "tessera/core/error.hpp"
#include "tessera/core/printable.hpp"

namespace cli {

namespace {

constexpr std::size_t most_bytes = 4096;  // of an expression
constexpr int most_memory = 1 << 20;      // of what it is compiled to: tens of thousands of steps

// What RE2 says, and what to do about parts of other dialects that no linear engine has.
std::string complaint(const re2::RE2& expression) {
    const std::string said = tessera::excerpt(expression.error());
    switch (expression.error_code()) {
        case re2::RE2::ErrorPatternTooLarge: return "too large once its repetitions are written out";
        case re2::RE2::ErrorBadPerlOp:
            return said + " (look-ahead and look-behind are not supported; an earlier --pin takes exceptions out)";
        case re2::RE2::ErrorBadEscape: return said + " (back-references and \\u are not supported)";
        default: return said;
    }
}

}  // namespace

name_pattern::name_pattern(const std::string& text) {
    if (text.size() > most_bytes)
        tessera::fail(tessera::excerpt(text), ": wanted a regular expression of at most ", most_bytes, " bytes, got ",
                      text.size());
    re2::RE2::Options options;
    options.set_log_errors(false);
    options.set_max_mem(most_memory);
    expression_ = std::make_shared<const re2::RE2>(text, options);
    if (!expression_->ok())
        tessera::fail(tessera::excerpt(text), ": not a regular expression: ", complaint(*expression_));
}

bool name_pattern::is_in(std::string_view name) const { return re2::RE2::PartialMatch(name, *expression_); }

}  // namespace cli
