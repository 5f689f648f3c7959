// Cuts text into the pieces inside which a byte-level vocabulary merges.
#pragma once

#ifndef PCRE2_CODE_UNIT_WIDTH  // the library's own switch: which of its three widths the header declares
#define PCRE2_CODE_UNIT_WIDTH 8
#endif
#include <pcre2.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tessera/core/error.hpp"

namespace tessera::text {

namespace detail {

struct pcre2_deleter {
    void operator()(pcre2_code* code) const noexcept { pcre2_code_free(code); }
    void operator()(pcre2_match_data* match) const noexcept { pcre2_match_data_free(match); }
};

inline std::string pcre2_message(int code) {
    std::array<PCRE2_UCHAR, 256> text{};
    pcre2_get_error_message(code, text.data(), text.size());
    return reinterpret_cast<const char*>(text.data());
}

// PCRE2 counts U+180E as white space, Unicode (since 6.3) and every tokenizer do not: spell \s and \S out.
inline std::string with_unicode_spaces(std::string_view pattern) {
    constexpr std::string_view spaces =
        R"(\t-\r\x20\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000})";
    std::string out;
    std::size_t class_depth = 0;
    for (std::size_t i = 0; i < pattern.size(); ++i) {
        const char c = pattern[i];
        if (c == '\\' && i + 1 < pattern.size()) {
            const char escaped = pattern[++i];
            if (escaped == 's' && class_depth > 0)
                out.append(spaces);
            else if (escaped == 's' || escaped == 'S')
                out.append(escaped == 's' ? "[" : "[^").append(spaces).append("]");
            else
                out.append({c, escaped});
            continue;
        }
        if (c == '[' && class_depth == 0) class_depth = 1;
        if (c == ']') class_depth = 0;
        out += c;
    }
    return out;
}

}  // namespace detail

/// A list of regular expressions that cuts text into pieces: each is applied inside every piece of the one before, and
/// matches as well as the gaps between them become pieces. Look-around does not see beyond a piece. May be used from
/// several threads at once.
class pre_tokenizer {
public:
    /// Perl syntax, with Unicode properties. Throws when a pattern is malformed.
    explicit pre_tokenizer(std::span<const std::string_view> patterns) {
        for (const std::string_view pattern : patterns) {
            const std::string source = detail::with_unicode_spaces(pattern);
            int code = 0;
            PCRE2_SIZE offset = 0;
            patterns_.emplace_back(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(source.data()), source.size(),
                                                 PCRE2_UTF | PCRE2_UCP, &code, &offset, nullptr));
            if (patterns_.back() == nullptr)
                fail("pre-tokenizer: malformed pattern ", source, " at byte ", offset, ": ",
                     detail::pcre2_message(code));
            pcre2_jit_compile(patterns_.back().get(), PCRE2_JIT_COMPLETE);  // only a matter of speed: may fail
        }
    }

    /// Calls emit(piece) for every piece from left to right; together they are `text`, which must be valid UTF-8.
    template <class Emit>
    void split(std::string_view text, Emit&& emit) const {
        const std::unique_ptr<pcre2_match_data, detail::pcre2_deleter> match(pcre2_match_data_create(1, nullptr));
        if (match == nullptr) throw std::bad_alloc();
        split(text, 0, *match, emit);
    }

private:
    template <class Emit>
    void split(std::string_view text, std::size_t level, pcre2_match_data& match, Emit& emit) const {
        if (text.empty()) return;
        if (level == patterns_.size()) return emit(text);
        std::size_t at = 0;
        while (at < text.size()) {
            const int found = pcre2_match(patterns_[level].get(), reinterpret_cast<PCRE2_SPTR>(text.data()),
                                          text.size(), at, PCRE2_NO_UTF_CHECK | PCRE2_NOTEMPTY, &match, nullptr);
            if (found == PCRE2_ERROR_NOMATCH) break;
            if (found < 0) fail("pre-tokenizer: cannot split ", text.size(), " bytes: ", detail::pcre2_message(found));
            const PCRE2_SIZE* bounds = pcre2_get_ovector_pointer(&match);
            const std::size_t begin = bounds[0];
            const std::size_t end = bounds[1];
            split(text.substr(at, begin - at), level + 1, match, emit);
            split(text.substr(begin, end - begin), level + 1, match, emit);
            at = end;
        }
        split(text.substr(at), level + 1, match, emit);
    }

    std::vector<std::unique_ptr<pcre2_code, detail::pcre2_deleter>> patterns_;
};

}  // namespace tessera::text
