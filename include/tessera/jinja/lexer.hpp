// A template's source as tokens.
#pragma once

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tessera/jinja/source_text.hpp"
#include "tessera/jinja/unicode.hpp"

namespace tessera::jinja {

enum class token_kind {
    text,
    output_begin,
    output_end,
    block_begin,
    block_end,
    name,
    string,
    integer,
    real,
    sign,
    end
};

/// A piece of the source. `content` is text to print, a name, an operator, a number without underscores, or what a
/// string literal stands for.
struct token {
    token_kind kind;
    std::string content;
    position at;
};

namespace detail {

class lexer {
public:
    explicit lexer(const source_text& source) : source_(source), text_(source.text()) {}

    std::vector<token> operator()() {
        while (at_ < text_.size()) outside();
        add(token_kind::end, "", text_.size());
        return std::move(tokens_);
    }

private:
    [[nodiscard]] std::string_view rest() const { return text_.substr(at_); }
    [[nodiscard]] bool sees(std::string_view what) const { return rest().starts_with(what); }
    void add(token_kind kind, std::string content, position at) { tokens_.push_back({kind, std::move(content), at}); }
    void skip_space() { at_ += leading_space(rest()); }
    void skip_line_end() { at_ += sees("\n") ? 1 : 0; }

    // Text up to the next tag, and that tag.
    void outside() {
        position tag = at_;
        for (; tag < text_.size(); ++tag) {
            tag = std::min(text_.find('{', tag), text_.size());
            if (tag + 1 < text_.size() && std::string_view("%{#").find(text_[tag + 1]) != std::string_view::npos) break;
        }
        const position from = at_;
        at_ = std::min(tag + 2, text_.size());
        if (tag >= text_.size()) return add_text(from, text_.size());
        const char mark = text_[tag + 1];
        const char control = at_ < text_.size() ? text_[at_] : ' ';
        if (control == '-' || control == '+') ++at_;
        add_text(from, end_of_text(from, tag, mark, control));
        if (mark == '#') return comment(tag);
        if (mark == '{') return inside(tag, token_kind::output_begin, token_kind::output_end, "}}");
        if (!raw(tag)) inside(tag, token_kind::block_begin, token_kind::block_end, "%}");
    }

    void add_text(position from, position to) {
        if (to > from) add(token_kind::text, std::string(text_.substr(from, to - from)), from);
    }

    // Where text before a tag ends: `-` strips all white space, and blanks alone on a line before a block or a comment
    // go.
    [[nodiscard]] position end_of_text(position from, position tag, char mark, char control) const {
        const std::string_view before = text_.substr(from, tag - from);
        if (control == '-') return from + stripped(before, ends::right).size();
        if (control == '+' || mark == '{') return tag;
        const std::size_t line = before.rfind('\n') + 1;
        const bool starts_line = line > 0 || from == 0 || text_[from - 1] == '\n';
        return starts_line && stripped(before.substr(line)).empty() ? from + line : tag;
    }

    // The end of a block or comment, `-` or `+` before it included; true when it was there.
    bool closes(std::string_view mark) {
        const bool strips = sees("-") && rest().substr(1).starts_with(mark);
        const bool keeps = mark != "}}" && sees("+") && rest().substr(1).starts_with(mark);
        if (!strips && !keeps && !sees(mark)) return false;
        at_ += mark.size() + (strips || keeps ? 1 : 0);
        if (strips) skip_space();
        if (!strips && !keeps && mark != "}}") skip_line_end();
        return true;
    }

    void comment(position tag) {
        const position begin = at_;
        at_ = text_.find("#}", begin);
        if (at_ == std::string_view::npos)
            source_.fail(tag, "wanted #} to end the comment, got the end of the template");
        if (at_ > begin && (text_[at_ - 1] == '-' || text_[at_ - 1] == '+')) --at_;
        closes("#}");
    }

    // {% raw %} ... {% endraw %}; false (and nothing consumed) when it is another block.
    bool raw(position tag) {
        const position before = at_;
        skip_space();
        const auto is_name = [&](std::string_view name) {
            if (!sees(name)) return false;
            at_ += name.size();
            skip_space();
            return sees("%}") || sees("-%}") || sees("+%}");
        };
        if (!is_name("raw") || sees("+")) {
            at_ = before;
            return false;
        }
        if (sees("-")) {
            closes("%}");
        } else {
            at_ += 2;
        }
        for (const position begin = at_;;) {
            const position end = text_.find("{%", at_);
            if (end == std::string_view::npos) source_.fail(tag, "wanted {% endraw %}, got the end of the template");
            at_ = end + 2;
            const char control = at_ < text_.size() ? text_[at_] : ' ';
            if (control == '-' || control == '+') ++at_;
            skip_space();
            if (!is_name("endraw")) {
                at_ = end + 2;
                continue;
            }
            add_text(begin, end_of_text(begin, end, '%', control));
            closes("%}");
            return true;
        }
    }

    void inside(position tag, token_kind begin, token_kind end, std::string_view mark) {
        add(begin, std::string(text_.substr(tag, 2)), tag);
        std::string open;  // brackets that wait for their partner
        for (;;) {
            skip_space();
            const position at = at_;
            if (open.empty() && closes(mark)) return add(end, std::string(mark), at);
            if (at == text_.size())
                source_.fail(tag, "wanted ", mark, " to end what begins here, got the end of the template");
            const char c = text_[at];
            if (is_digit(static_cast<unsigned char>(c)))
                number();
            else if (is_name_character(c))
                name();
            else if (c == '"' || c == '\'')
                string_literal(c);
            else
                sign(open);
        }
    }

    static bool is_name_character(char c) {
        const auto byte = static_cast<unsigned char>(c);
        return byte >= 0x80 || byte == '_' || is_digit(byte) || is_letter(byte);
    }

    void name() {
        const position from = at_;
        while (at_ < text_.size() && is_name_character(text_[at_])) ++at_;
        add(token_kind::name, std::string(text_.substr(from, at_ - from)), from);
    }

    void digits(std::string& out) {
        for (; at_ < text_.size() && (is_digit(static_cast<unsigned char>(text_[at_])) || text_[at_] == '_'); ++at_)
            if (text_[at_] != '_') out += text_[at_];
    }
    [[nodiscard]] bool digit_follows(std::size_t after) const {
        return at_ + after < text_.size() && is_digit(static_cast<unsigned char>(text_[at_ + after]));
    }

    // 12, 1_000, 0x1f, 0o17, 0b1, 1.5, 2e3. After a dot (as in a.0.1) there are no floats.
    void number() {
        const position from = at_;
        for (const auto& [prefix, base] : {std::pair("0x", 16), std::pair("0o", 8), std::pair("0b", 2)}) {
            if (!sees(prefix)) continue;
            at_ += 2;
            std::uint64_t n = 0;
            std::string literal;
            while (at_ < text_.size() && is_name_character(text_[at_]))
                if (text_[at_++] != '_') literal += text_[at_ - 1];
            const auto [end, problem] = std::from_chars(literal.data(), literal.data() + literal.size(), n, base);
            if (problem != std::errc() || end != literal.data() + literal.size())
                source_.fail(from, "wanted a number, got ", prefix, literal);
            return add(token_kind::integer, std::to_string(n), from);
        }
        std::string literal;
        digits(literal);
        bool is_real = false;
        const bool after_dot = from > 0 && text_[from - 1] == '.';
        if (!after_dot && sees(".") && digit_follows(1)) {
            literal += '.';
            ++at_;
            digits(literal);
            is_real = true;
        }
        if (!after_dot && (sees("e") || sees("E"))) {
            const bool is_signed = rest().size() > 1 && (rest()[1] == '+' || rest()[1] == '-');
            if (digit_follows(is_signed ? 2 : 1)) {
                literal += 'e';
                if (is_signed) literal += text_[at_ + 1];
                at_ += is_signed ? 2 : 1;
                digits(literal);
                is_real = true;
            }
        }
        add(is_real ? token_kind::real : token_kind::integer, std::move(literal), from);
    }

    void string_literal(char quote) {
        const position from = at_++;
        std::string out;
        for (;;) {
            if (at_ == text_.size())
                source_.fail(from, "wanted ", quote, " to end the string, got the end of the template");
            const char c = text_[at_++];
            if (c == quote) return add(token_kind::string, std::move(out), from);
            if (c == '\\' && at_ < text_.size())
                escape(out);
            else
                out += c;
        }
    }

    // What a backslash begins. One that begins nothing stays.
    void escape(std::string& out) {
        const position from = at_ - 1;
        const char c = text_[at_++];
        constexpr std::string_view letters = "abfnrtv\\'\"", meant = "\a\b\f\n\r\t\v\\'\"";
        if (const std::size_t known = letters.find(c); known != std::string_view::npos) {
            out += meant[known];
        } else if (c == 'x' || c == 'u' || c == 'U') {
            out += code_point_escape(from, c == 'x' ? 2 : c == 'u' ? 4 : 8, 16);
        } else if (c >= '0' && c <= '7') {
            --at_;
            out += code_point_escape(from, 3, 8);
        } else if (c == 'N') {
            source_.fail(from, "wanted a character by its number, got a name");
        } else if (c != '\n') {
            (out += '\\') += c;
        }
    }

    // Hexadecimal escapes have all their digits, octal ones up to three.
    std::string code_point_escape(position from, std::size_t most, int base) {
        const std::string_view digits = rest().substr(0, most);
        std::uint32_t c = 0;
        const auto [end, problem] = std::from_chars(digits.data(), digits.data() + digits.size(), c, base);
        const auto used = static_cast<std::size_t>(end - digits.data());
        if (problem != std::errc() || (base == 16 && used != most) || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
            source_.fail(from, "wanted the number of a character, got ",
                         text_.substr(from, valid_utf8_prefix(text_.substr(from, 10))));
        at_ += used;
        std::string out;
        append_code_point(out, c);
        return out;
    }

    void sign(std::string& open) {
        constexpr std::array<std::string_view, 6> doubled{"**", "//", "==", "!=", ">=", "<="};
        constexpr std::string_view single = "+-*/%~[](){}><=.:|,";
        const position from = at_;
        const char c = text_[from];
        for (const std::string_view two : doubled)
            if (sees(two)) {
                at_ += 2;
                return add(token_kind::sign, std::string(two), from);
            }
        if (single.find(c) == std::string_view::npos)
            source_.fail(from, "wanted an expression, got ", text_.substr(from, utf8_length(c)));
        if (const std::size_t opens = std::string_view("([{").find(c); opens != std::string_view::npos)
            open += ")]}"[opens];
        if (std::string_view(")]}").find(c) != std::string_view::npos) {
            if (open.empty() || open.back() != c)
                source_.fail(from, "wanted ", open.empty() ? "no bracket" : open.substr(open.size() - 1), ", got ", c);
            open.pop_back();
        }
        ++at_;
        add(token_kind::sign, std::string(1, c), from);
    }

    const source_text& source_;
    std::string_view text_;
    position at_ = 0;
    std::vector<token> tokens_;
};

}  // namespace detail

/// Cuts a source into tokens as Jinja does with trim_blocks and lstrip_blocks on: a line end after a block or comment
/// goes, and so do blanks before one that begins its line; `-` strips all white space on its side, `+` none.
[[nodiscard]] inline std::vector<token> tokenize(const source_text& source) { return detail::lexer(source)(); }

}  // namespace tessera::jinja
