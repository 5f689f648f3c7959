// Finding one text in another.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

namespace tessera {

/// Looks for a text in others, from the left or from the right, in time that the lengths of both bound whatever they
/// hold (Knuth, Morris, Pratt: Fast pattern matching in strings, 1977). Takes four bytes per byte of the text that is
/// wanted, which must stay and be shorter than 4 GiB.
class text_search {
public:
    enum class direction { forward, backward };

    explicit text_search(std::string_view wanted, direction where = direction::forward)
        : wanted_(wanted), where_(where) {
        borders_.resize(wanted.size());
        for (std::size_t i = 1; i < wanted.size(); ++i)
            borders_[i] = static_cast<std::uint32_t>(step(borders_[i - 1], at(wanted, i)));
    }

    /// Where the first occurrence in this direction begins, npos when there is none. An empty text is found at once.
    [[nodiscard]] std::size_t operator()(std::string_view text) const noexcept {
        if (wanted_.empty()) return where_ == direction::forward ? 0 : text.size();
        std::size_t matched = 0;
        for (std::size_t i = 0; i < text.size(); ++i) {
            if (matched == 0 && where_ == direction::forward) {
                i = std::min(text.find(wanted_[0], i), text.size());
                if (i == text.size()) break;
            }
            matched = step(matched, at(text, i));
            if (matched == wanted_.size()) return where_ == direction::forward ? i + 1 - matched : text.size() - 1 - i;
        }
        return std::string_view::npos;
    }

private:
    [[nodiscard]] char at(std::string_view text, std::size_t i) const noexcept {
        return text[where_ == direction::forward ? i : text.size() - 1 - i];
    }
    // How much of the wanted text the last characters spell, after `matched` of it and another character.
    [[nodiscard]] std::size_t step(std::size_t matched, char next) const noexcept {
        while (matched > 0 && at(wanted_, matched) != next) matched = borders_[matched - 1];
        return at(wanted_, matched) == next ? matched + 1 : 0;
    }

    std::string_view wanted_;
    direction where_;
    std::vector<std::uint32_t> borders_;  // by length: the longest proper prefix that is a suffix, too
};

}  // namespace tessera
