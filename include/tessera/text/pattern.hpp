// The regular expressions of pre-tokenizers, taken apart.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <limits>
#include <string_view>
#include <utility>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/text/code_points.hpp"

namespace tessera::text {

/// A regular expression as a program. At every choice the first way is preferred, as in Perl.
struct pattern_program {
    enum class action : std::uint8_t {
        take,         ///< a code point of `set`, then `next`
        choose,       ///< `next`, or else `other`
        unless_next,  ///< `next` if the next code point is not of `set`; the end of text is of none
        accept,       ///< what has been taken is a match
    };
    struct instruction {
        action what;
        std::uint32_t set = 0;  ///< index of `sets`
        std::uint32_t next = 0;
        std::uint32_t other = 0;
    };

    std::vector<code_point_set> sets;
    std::vector<instruction> instructions;
    std::uint32_t start = 0;
};

namespace detail {

/// Reads what pre-tokenizers use of Perl's syntax: code points and sets of them, `\p{}`, `\s`, `\S`, alternatives,
/// groups, greedy quantifiers, and a look-ahead (?!) of one code point.
class pattern_parser {
public:
    explicit pattern_parser(std::string_view source) : source_(source) {}

    [[nodiscard]] pattern_program parse() && {
        const node root = choice();
        if (at_ != source_.size()) malformed("the end");
        if (may_be_empty(root)) malformed("a pattern that takes a character");
        const std::uint32_t accept = push({.what = pattern_program::action::accept});
        program_.start = emit(root, accept);
        return std::move(program_);
    }

private:
    static constexpr std::size_t unlimited = std::numeric_limits<std::size_t>::max();

    struct node {
        enum class kind : std::uint8_t { set, look_ahead, sequence, choice, repeat };
        kind what = kind::sequence;
        std::uint32_t set = 0;
        std::vector<node> parts{};
        std::size_t least = 1;
        std::size_t most = 1;
    };

    [[noreturn]] void malformed(std::string_view wanted) const {
        fail("pre-tokenizer: malformed pattern ", source_, ": wanted ", wanted, " at byte ", at_);
    }
    [[nodiscard]] bool skip(std::string_view text) {
        if (!source_.substr(at_).starts_with(text)) return false;
        at_ += text.size();
        return true;
    }
    void require(std::string_view text) {
        if (!skip(text)) malformed(text);
    }
    [[nodiscard]] bool ends_here(std::string_view terminators) const {
        return at_ == source_.size() || terminators.find(source_[at_]) != std::string_view::npos;
    }

    node choice() {
        node out{.what = node::kind::choice};
        do out.parts.push_back(sequence());
        while (skip("|"));
        return out;
    }

    node sequence() {
        node out{.what = node::kind::sequence};
        while (!ends_here("|)")) out.parts.push_back(quantified(atom()));
        return out;
    }

    node atom() {
        if (skip("(?:")) {
            node inner = choice();
            require(")");
            return inner;
        }
        if (skip("(?!")) {
            node out{.what = node::kind::look_ahead, .set = intern(one_code_point())};
            require(")");
            return out;
        }
        return {.what = node::kind::set, .set = intern(one_code_point())};
    }

    static bool may_be_empty(const node& part) {
        switch (part.what) {
            case node::kind::set: return false;
            case node::kind::look_ahead: return true;
            case node::kind::choice: return std::any_of(part.parts.begin(), part.parts.end(), may_be_empty);
            case node::kind::sequence: return std::all_of(part.parts.begin(), part.parts.end(), may_be_empty);
            case node::kind::repeat: return part.least == 0 || may_be_empty(part.parts.front());
        }
        return true;
    }

    node quantified(node inner) {
        node out{.what = node::kind::repeat};
        if (skip("?")) {
            out.least = 0;
        } else if (skip("*")) {
            out.least = 0, out.most = unlimited;
        } else if (skip("+")) {
            out.most = unlimited;
        } else if (skip("{")) {
            out.least = number(10);
            require(",");
            out.most = number(10);
            require("}");
        } else {
            return inner;
        }
        if (may_be_empty(inner)) malformed("a part that takes a character before the quantifier");
        out.parts.push_back(std::move(inner));
        return out;
    }

    std::uint32_t number(std::uint32_t base) {
        constexpr std::string_view digits = "0123456789abcdef";
        std::uint32_t value = 0;
        const std::size_t begin = at_;
        for (; at_ < source_.size() && value <= last_code_point; ++at_) {
            const std::size_t digit = digits.substr(0, base).find(source_[at_]);
            if (digit == std::string_view::npos) break;
            value = value * base + static_cast<std::uint32_t>(digit);
        }
        if (at_ == begin || value > last_code_point) malformed("a number");
        return value;
    }

    code_point_set one_code_point() {
        if (!skip("[")) {
            if (ends_here("*+?{}()]^$.")) malformed("a character");
            return element();
        }
        const bool is_negated = skip("^");
        code_point_set out;
        while (!ends_here("]")) out.add(element());
        require("]");
        return is_negated ? out.complement() : out;
    }

    // A code point, a range of them, or a class such as \p{L}.
    code_point_set element() {
        if (skip("\\p{")) {
            const std::size_t length = source_.substr(at_).find('}');
            if (length == std::string_view::npos) malformed("a category and }");
            code_point_set out = code_point_set::category(source_.substr(at_, length));
            if (out.ranges().empty()) out = code_point_set::script(source_.substr(at_, length));
            if (out.ranges().empty()) malformed("a general category or a known script");
            at_ += length + 1;
            return out;
        }
        if (skip("\\s")) return code_point_set::white_space();
        if (skip("\\S")) return code_point_set::white_space().complement();
        code_point_set out;
        const std::uint32_t first = code_point();
        const bool is_range = source_.size() - at_ >= 2 && source_[at_] == '-' && source_[at_ + 1] != ']';
        if (is_range) ++at_;
        const std::uint32_t last = is_range ? code_point() : first;
        if (last < first) malformed("an ascending range");
        out.add({first, last});
        return out;
    }

    std::uint32_t code_point() {
        if (skip("\\x{")) {
            const std::uint32_t value = number(16);
            require("}");
            return value;
        }
        if (skip("\\r")) return '\r';
        if (skip("\\n")) return '\n';
        const bool is_escaped = skip("\\");
        const bool is_plain = at_ < source_.size() && static_cast<unsigned char>(source_[at_]) < 0x80 &&
                              !(is_escaped && is_letter_or_digit(source_[at_]));
        if (!is_plain) malformed("a code point");
        return static_cast<std::uint32_t>(source_[at_++]);
    }

    static bool is_letter_or_digit(char c) {
        return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
    }

    std::uint32_t intern(code_point_set set) {
        auto& sets = program_.sets;
        const auto found = std::find(sets.begin(), sets.end(), set);
        if (found != sets.end()) return static_cast<std::uint32_t>(found - sets.begin());
        sets.push_back(std::move(set));
        return static_cast<std::uint32_t>(sets.size() - 1);
    }

    std::uint32_t push(pattern_program::instruction instruction) {
        program_.instructions.push_back(instruction);
        return static_cast<std::uint32_t>(program_.instructions.size() - 1);
    }

    // The entry of the instructions for a node that go on at `next`.
    std::uint32_t emit(const node& part, std::uint32_t next) {
        using enum pattern_program::action;
        switch (part.what) {
            case node::kind::set: return push({.what = take, .set = part.set, .next = next});
            case node::kind::look_ahead: return push({.what = unless_next, .set = part.set, .next = next});
            case node::kind::sequence: {
                for (auto inner = part.parts.rbegin(); inner != part.parts.rend(); ++inner) next = emit(*inner, next);
                return next;
            }
            case node::kind::choice: {
                std::uint32_t entry = emit(part.parts.back(), next);
                for (auto inner = std::next(part.parts.rbegin()); inner != part.parts.rend(); ++inner)
                    entry = push({.what = choose, .next = emit(*inner, next), .other = entry});
                return entry;
            }
            case node::kind::repeat: break;
        }
        const node& inner = part.parts.front();
        std::uint32_t entry = next;
        if (part.most == unlimited) {
            entry = push({.what = choose, .other = next});
            const std::uint32_t again = emit(inner, entry);
            program_.instructions[entry].next = again;
        } else {
            for (std::size_t i = part.least; i < part.most; ++i)
                entry = push({.what = choose, .next = emit(inner, entry), .other = next});
        }
        for (std::size_t i = 0; i < part.least; ++i) entry = emit(inner, entry);
        return entry;
    }

    std::string_view source_;
    std::size_t at_ = 0;
    pattern_program program_;
};

}  // namespace detail

/// Takes a pattern apart. Throws tessera::error naming it when it is malformed or uses more of Perl than is known here.
[[nodiscard]] inline pattern_program parse_pattern(std::string_view source) {
    return detail::pattern_parser(source).parse();
}

}  // namespace tessera::text
