// Cuts text into the pieces inside which a byte-level vocabulary merges.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "tessera/core/utf8.hpp"
#include "tessera/text/automaton.hpp"
#include "tessera/text/digit_groups.hpp"

namespace tessera::text {

/// A list of patterns that cuts text into pieces: each is applied inside every piece of the one before, and matches as
/// well as the gaps between them become pieces. Look-ahead does not see beyond a piece. May be used from several
/// threads at once.
class pre_tokenizer {
public:
    /// Throws when a pattern is malformed.
    explicit pre_tokenizer(std::span<const std::string_view> patterns) {
        for (const std::string_view pattern : patterns)
            if (auto groups = digit_groups::instead_of(pattern))
                cuts_.emplace_back(*std::move(groups));
            else
                cuts_.emplace_back(automaton(pattern));
    }

    /// Calls emit(piece) for every piece from left to right; together they are `text`, which must be valid UTF-8.
    template <class Emit>
    void split(std::string_view text, const Emit& emit) const {
        split(text, std::span(cuts_), emit);
    }

private:
    using cut = std::variant<automaton, digit_groups>;

    template <class Emit>
    static void split(std::string_view text, std::span<const cut> cuts, const Emit& emit) {
        if (text.empty()) return;
        if (cuts.empty()) return emit(text);
        if (const auto* groups = std::get_if<digit_groups>(&cuts[0]))
            return groups->split(text, [&](std::string_view piece) { split(piece, cuts.subspan(1), emit); });
        const automaton& pattern = std::get<automaton>(cuts[0]);
        std::size_t gap = 0;  // characters in front that belong to no match
        while (gap < text.size()) {
            const std::size_t length = pattern.match(text.substr(gap));
            if (length == 0) {
                gap += utf8_length(text[gap]);
                continue;
            }
            split(text.substr(0, gap), cuts.subspan(1), emit);
            split(text.substr(gap, length), cuts.subspan(1), emit);
            text.remove_prefix(gap + length);
            gap = 0;
        }
        split(text, cuts.subspan(1), emit);
    }

    std::vector<cut> cuts_;
};

}  // namespace tessera::text
