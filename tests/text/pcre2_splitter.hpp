// Pre-tokenizers as another engine of regular expressions runs them.
#pragma once

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <cstddef>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace support {

// PCRE2 counts U+180E as white space, Unicode (since 6.3) and every tokenizer do not: spell \s and \S out.
[[nodiscard]] inline std::string with_unicode_spaces(std::string_view pattern) {
    constexpr std::string_view spaces =
        R"(\t-\r\x20\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000})";
    std::string out;
    std::size_t class_depth = 0;
    for (std::size_t i = 0; i < pattern.size(); ++i) {
        const char c = pattern[i];
        // And a script's name alone also stands for the characters that it shares with others.
        if (constexpr std::string_view han = "\\p{Han}"; pattern.substr(i).starts_with(han)) {
            out += "\\p{sc:Han}";
            i += han.size() - 1;
            continue;
        }
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

/// What tessera::text::pre_tokenizer is, with PCRE2.
class pcre2_splitter {
public:
    explicit pcre2_splitter(std::span<const std::string_view> patterns) {
        for (const std::string_view pattern : patterns) {
            const std::string source = with_unicode_spaces(pattern);
            int error = 0;
            PCRE2_SIZE offset = 0;
            patterns_.emplace_back(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(source.data()), source.size(),
                                                 PCRE2_UTF | PCRE2_UCP, &error, &offset, nullptr),
                                   &pcre2_code_free);
            if (patterns_.back() == nullptr) throw std::invalid_argument(source);
            pcre2_jit_compile(patterns_.back().get(), PCRE2_JIT_COMPLETE);
        }
    }

    [[nodiscard]] std::vector<std::string> pieces(std::string_view text) const {
        std::vector<std::string> out;
        split(text, 0, out);
        return out;
    }

private:
    void split(std::string_view text, std::size_t level, std::vector<std::string>& out) const {
        if (text.empty()) return;
        if (level == patterns_.size()) {
            out.emplace_back(text);
            return;
        }
        const std::unique_ptr<pcre2_match_data, decltype(&pcre2_match_data_free)> match(
            pcre2_match_data_create(1, nullptr), &pcre2_match_data_free);
        std::size_t at = 0, from = 0;  // of the piece that has no end yet, and where to look next
        while (pcre2_match(patterns_[level].get(), reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), from,
                           PCRE2_NO_UTF_CHECK, match.get(), nullptr) > 0) {
            const PCRE2_SIZE* bounds = pcre2_get_ovector_pointer(match.get());
            const std::size_t begin = bounds[0];
            const std::size_t end = bounds[1];
            split(text.substr(at, begin - at), level + 1, out);
            split(text.substr(begin, end - begin), level + 1, out);
            at = from = end;
            if (begin < end) continue;
            if (from == text.size()) break;
            for (++from; from < text.size() && (static_cast<unsigned char>(text[from]) & 0xc0) == 0x80;) ++from;
        }
        split(text.substr(at), level + 1, out);
    }

    std::vector<std::unique_ptr<pcre2_code, decltype(&pcre2_code_free)>> patterns_;
};

}  // namespace support
