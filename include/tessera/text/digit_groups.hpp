// Digits in groups of three, counted from the right.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

#include "tessera/core/utf8.hpp"
#include "tessera/text/code_points.hpp"

namespace tessera::text {

/// Cuts runs of decimal digits as numbers are written, 1|234|567. Regular expressions need to look ahead to the end of
/// the run for that, at every place in it; here a run is counted once.
class digit_groups {
public:
    /// The regular expressions that are done so: groups by themselves; the same where no letter or the like follows the
    /// run; cuts between groups, but none after the last one nor before a first one of one or two digits.
    static constexpr std::string_view apart = R"(\p{Nd}{1,3}(?=(?:\p{Nd}{3})*(?!\p{Nd})))";
    static constexpr std::string_view apart_from_words = R"(\p{Nd}{1,3}(?=(?:\p{Nd}{3})*(?![\p{L}\p{M}\p{Nd}\p{Pc}])))";
    static constexpr std::string_view between = R"((?=(?:\p{Nd}{3})+(?!\p{Nd})))";

    /// What does the work of a regular expression, or nothing when it is another one.
    [[nodiscard]] static std::optional<digit_groups> instead_of(std::string_view pattern) {
        if (pattern != apart && pattern != apart_from_words && pattern != between) return std::nullopt;
        return digit_groups(pattern);
    }

    /// Calls visit(piece) for every piece from left to right; together they are `text`, which is valid UTF-8 and not
    /// empty.
    template <class Visit>
    void split(std::string_view text, const Visit& visit) const {
        std::size_t begin = 0;  // of the piece that has no end yet
        const auto cut = [&](std::size_t at) {
            if (at > begin) visit(text.substr(begin, at - begin));
            begin = at;
        };
        for (std::size_t at = 0; at < text.size();) {
            if (!is_digit(text, at)) {
                at += utf8_length(text[at]);
                continue;
            }
            const std::size_t start = at;
            std::size_t count = 0, end = at;
            for (; end < text.size() && is_digit(text, end); ++count) end += utf8_length(text[end]);
            const bool is_left_alone =
                pattern_ == apart_from_words && end < text.size() && words_.contains(code_point(text.substr(end)));
            for (; at < end; at += utf8_length(text[at]), --count)
                if (!is_left_alone && (count % 3 == 0 || (at == start && pattern_ != between))) cut(at);
            if (!is_left_alone && pattern_ != between) cut(end);
        }
        cut(text.size());
    }

private:
    explicit digit_groups(std::string_view pattern)
        : pattern_(pattern), digits_(code_point_set::category("Nd")), words_(digits_) {
        for (const char* category : {"L", "M", "Pc"}) words_.add(code_point_set::category(category));
    }

    [[nodiscard]] bool is_digit(std::string_view text, std::size_t at) const {
        const auto byte = static_cast<unsigned char>(text[at]);
        return byte < 0x80 ? byte >= '0' && byte <= '9' : digits_.contains(code_point(text.substr(at)));
    }

    std::string_view pattern_;
    code_point_set digits_;
    code_point_set words_;
};

}  // namespace tessera::text
