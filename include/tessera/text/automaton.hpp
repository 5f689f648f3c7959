// A pattern as a finite automaton: one table look-up a character, whatever the pattern.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string_view>
#include <utility>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/core/utf8.hpp"
#include "tessera/text/code_points.hpp"
#include "tessera/text/pattern.hpp"

namespace tessera::text {

/// Which symbol of a small alphabet a code point is: two that no set of a pattern tells apart are the same one.
class symbol_table {
public:
    explicit symbol_table(const std::vector<code_point_set>& sets) {
        std::vector<std::uint32_t> starts{0, last_code_point + 1};  // of stretches that no set divides
        for (const code_point_set& set : sets)
            for (const code_point_range& range : set.ranges())
                starts.insert(starts.end(), {range.first, range.last + 1});
        std::sort(starts.begin(), starts.end());
        starts.erase(std::unique(starts.begin(), starts.end()), starts.end());

        std::map<std::vector<bool>, std::uint8_t> symbols;
        std::map<page, std::uint16_t> pages;
        page current{};
        for (std::size_t i = 0; i + 1 < starts.size(); ++i) {
            std::vector<bool> members(sets.size());
            for (std::size_t s = 0; s < sets.size(); ++s) members[s] = sets[s].contains(starts[i]);
            const auto [known, is_new] = symbols.try_emplace(members, static_cast<std::uint8_t>(members_.size()));
            if (is_new) members_.push_back(std::move(members));
            if (members_.size() > 255) fail("pre-tokenizer: a pattern tells more than 255 kinds of characters apart");
            for (std::uint32_t c = starts[i]; c < starts[i + 1]; ++c) {
                current[c % page_size] = known->second;
                if (c % page_size != page_size - 1) continue;
                const auto [same, is_new_page] = pages.try_emplace(current, static_cast<std::uint16_t>(pages_.size()));
                if (is_new_page) pages_.push_back(current);
                page_of_[c / page_size] = same->second;
            }
        }
        std::copy_n(pages_[page_of_[0]].begin(), ascii_.size(), ascii_.begin());
    }

    /// The symbols are below this.
    [[nodiscard]] std::size_t size() const noexcept { return members_.size(); }
    /// Whether the code points of a symbol are in the set of this index.
    [[nodiscard]] bool is_member(std::size_t symbol, std::size_t set) const { return members_[symbol][set]; }

    /// A symbol, and the bytes that spell it.
    struct reading {
        std::uint8_t symbol;
        std::uint8_t length;
    };
    /// The symbol of the character that begins at `text`, which is valid UTF-8.
    [[nodiscard]] reading read(const char* text) const noexcept {
        const auto lead = static_cast<unsigned char>(*text);
        if (lead < 0x80) return {ascii_[lead], 1};
        const std::size_t length = utf8_length(*text);
        return {of(code_point({text, length})), static_cast<std::uint8_t>(length)};
    }

private:
    static constexpr std::uint32_t page_size = 256;
    using page = std::array<std::uint8_t, page_size>;

    [[nodiscard]] std::uint8_t of(std::uint32_t code_point) const noexcept {
        return pages_[page_of_[code_point / page_size]][code_point % page_size];
    }

    std::array<std::uint8_t, 128> ascii_{};
    std::array<std::uint16_t, (last_code_point + 1) / page_size> page_of_{};
    std::vector<page> pages_;
    std::vector<std::vector<bool>> members_;  // by symbol, then by set
};

/// Matches a pattern without going back: what Perl's rules prefer among all matches at a place, in one pass.
class automaton {
public:
    /// Throws when the pattern is malformed.
    explicit automaton(std::string_view pattern) : automaton(parse_pattern(pattern)) {}

    /// The length of the match at the beginning of `text`, which is valid UTF-8; 0 when there is none.
    [[nodiscard]] std::size_t match(std::string_view text) const noexcept {
        std::uint32_t row = start_row_;
        std::size_t found = 0;
        for (std::size_t at = 0; at < text.size();) {
            const auto [symbol, length] = symbols_.read(&text[at]);
            const std::uint32_t step = steps_[row + symbol];
            if (step & is_match) found = at;
            row = step & ~is_match;
            if (row == dead) return found;
            at += length;
        }
        return steps_[row + symbols_.size()] & is_match ? text.size() : found;
    }

private:
    // A state is what may go on, by falling preference: places in the program that take or look ahead.
    using threads = std::vector<std::uint32_t>;
    static constexpr std::uint32_t dead = 0;
    static constexpr std::uint32_t is_match = std::uint32_t{1} << 31;  // the text before the symbol just read matches

    explicit automaton(const pattern_program& program) : symbols_(program.sets) {
        std::vector<threads> states(2);
        follow(program, program.start, states[1]);
        const std::size_t width = symbols_.size() + 1;  // the last symbol is the end of text
        start_row_ = static_cast<std::uint32_t>(width);
        std::map<threads, std::uint32_t> known{{{}, dead}, {states[1], start_row_}};
        for (std::size_t state = 0; state < states.size(); ++state) {
            if (states.size() > 10000) fail("pre-tokenizer: a pattern needs more than 10000 states");
            for (std::size_t symbol = 0; symbol < width; ++symbol) {
                threads next;
                bool matched = false;
                for (const std::uint32_t place : states[state])
                    if ((matched = advance(program, place, symbol, next))) break;
                const auto [entry, is_new] = known.try_emplace(next, static_cast<std::uint32_t>(states.size() * width));
                if (is_new) states.push_back(std::move(next));
                steps_.push_back(entry->second | (matched ? is_match : 0));
            }
        }
    }

    // Adds where `place` leads without reading anything.
    static void follow(const pattern_program& program, std::uint32_t place, threads& out) {
        const auto& [what, set, next, other] = program.instructions[place];
        if (what == pattern_program::action::choose) {
            follow(program, next, out);
            follow(program, other, out);
        } else if (std::find(out.begin(), out.end(), place) == out.end()) {
            out.push_back(place);
        }
    }

    // Adds where `place` leads by reading a symbol. True when it accepts what was read before.
    bool advance(const pattern_program& program, std::uint32_t place, std::size_t symbol, threads& out) const {
        const auto& [what, set, next, other] = program.instructions[place];
        const bool is_member = symbol < symbols_.size() && symbols_.is_member(symbol, set);
        switch (what) {
            case pattern_program::action::take:
                if (is_member) follow(program, next, out);
                return false;
            case pattern_program::action::choose:
                return advance(program, next, symbol, out) || advance(program, other, symbol, out);
            case pattern_program::action::unless_next: return !is_member && advance(program, next, symbol, out);
            case pattern_program::action::accept: return true;
        }
        return false;
    }

    symbol_table symbols_;
    std::uint32_t start_row_ = 0;
    std::vector<std::uint32_t> steps_;  // a row for every state: by symbol, where the next row begins, and is_match
};

}  // namespace tessera::text
