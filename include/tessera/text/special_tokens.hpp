// Finds the tokens that stand for themselves in a text, before any merging.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <functional>
#include <iterator>
#include <map>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "tessera/text/token.hpp"
#include "tessera/text/vocabulary.hpp"

namespace tessera::text {

/// A part of a text: one special token, or text that still is to be tokenized.
struct fragment {
    std::string_view text;
    std::optional<token_id> token;
};

/// Which tokens are recognised by their text: those of user-defined type always, control and unknown ones on demand.
enum class special_text { user_defined_only, all };

/// Splits text at special tokens, as llama.cpp does: the longest token takes all its occurrences first, from the left,
/// then the next longest those in what remains. Refers to the vocabulary, which must stay.
class special_splitter {
public:
    explicit special_splitter(const vocabulary& vocabulary) : vocabulary_(&vocabulary) {
        for (token_id id = 0; vocabulary.contains(id); ++id) {
            const token_type type = vocabulary.type(id);
            if (type == token_type::user_defined || type == token_type::control || type == token_type::unknown)
                specials_.push_back({vocabulary.text(id), id, type == token_type::user_defined});
        }
        std::sort(specials_.begin(), specials_.end(),
                  [](const special& a, const special& b) { return a.text < b.text; });
        for (std::size_t i = 0; i < specials_.size(); ++i) {
            const auto byte = static_cast<unsigned char>(specials_[i].text[0]);
            is_first_byte_[byte] = true;
            range& bucket = by_first_byte_[byte];
            if (bucket.begin == bucket.end) bucket.begin = i;
            bucket.end = i + 1;
        }
    }

    /// The fragments of `text` from left to right, none of them empty.
    [[nodiscard]] std::vector<fragment> split(std::string_view text, special_text wanted) const {
        std::vector<fragment> fragments;
        std::size_t at = 0;
        const auto add_text_up_to = [&](std::size_t end) {
            if (end > at) fragments.push_back({text.substr(at, end - at), std::nullopt});
        };
        for (const occurrence& found : occurrences(text, wanted)) {
            add_text_up_to(found.begin);
            fragments.push_back({text.substr(found.begin, found.length), found.token});
            at = found.begin + found.length;
            if (vocabulary_->swallows_space(found.token))
                at = std::min(text.find_first_not_of(" \t\n\v\f\r", at), text.size());
        }
        add_text_up_to(text.size());
        return fragments;
    }

private:
    struct special {
        std::string_view text;
        token_id id;
        bool is_user_defined;
    };
    struct range {
        std::size_t begin = 0;
        std::size_t end = 0;
    };
    struct occurrence {
        std::size_t begin;
        std::size_t length;
        token_id token;
    };

    // The tokens that are split at, in order of text. Starts from the longest token at every place. One that is in the
    // way of none longer stays, else the next shorter one at its place has its turn among those of its length.
    std::vector<occurrence> occurrences(std::string_view text, special_text wanted) const {
        std::map<std::size_t, std::vector<occurrence>, std::greater<>> by_length;
        const auto consider = [&](std::size_t at, std::size_t limit) {
            if (const special* token = longest_at(text.substr(at, limit), wanted))
                by_length[token->text.size()].push_back({at, token->text.size(), token->id});
        };
        for (std::size_t at = 0; at < text.size(); ++at)
            if (is_first_byte_[static_cast<unsigned char>(text[at])]) consider(at, text.size());

        std::vector<occurrence> found;
        std::vector<bool> is_taken(by_length.empty() ? 0 : text.size());
        while (!by_length.empty()) {
            std::vector<occurrence> equals = std::move(by_length.begin()->second);
            by_length.erase(by_length.begin());
            std::sort(equals.begin(), equals.end(), [](const occurrence& a, const occurrence& b) {
                return a.token != b.token ? a.token < b.token : a.begin < b.begin;
            });
            for (const occurrence& next : equals) {
                const auto begin = is_taken.begin() + static_cast<std::ptrdiff_t>(next.begin);
                const auto end = begin + static_cast<std::ptrdiff_t>(next.length);
                if (*begin) continue;
                if (*std::prev(end)) {  // what took this one's middle is at least as long, so has one of its ends, too
                    consider(next.begin, next.length - 1);
                    continue;
                }
                std::fill(begin, end, true);
                found.push_back(next);
            }
        }
        std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.begin < b.begin; });
        return found;
    }

    // The longest token that `text` starts with. The tokens in order of text serve as a trie: those that share a prefix
    // are neighbours, and the prefix itself comes first.
    const special* longest_at(std::string_view text, special_text wanted) const {
        if (text.empty()) return nullptr;
        const special* longest = nullptr;
        auto [begin, end] = by_first_byte_[static_cast<unsigned char>(text[0])];
        for (std::size_t depth = 1; begin < end; ++depth) {
            if (specials_[begin].text.size() == depth) {
                if (wanted == special_text::all || specials_[begin].is_user_defined) longest = &specials_[begin];
                ++begin;
            }
            if (depth == text.size()) break;
            const auto byte_of = [depth](std::string_view t) { return static_cast<unsigned char>(t[depth]); };
            const auto first = specials_.begin() + static_cast<std::ptrdiff_t>(begin);
            const auto last = specials_.begin() + static_cast<std::ptrdiff_t>(end);
            const auto low = std::partition_point(
                first, last, [&](const special& token) { return byte_of(token.text) < byte_of(text); });
            const auto high = std::partition_point(
                low, last, [&](const special& token) { return byte_of(token.text) == byte_of(text); });
            begin = static_cast<std::size_t>(low - specials_.begin());
            end = static_cast<std::size_t>(high - specials_.begin());
        }
        return longest;
    }

    const vocabulary* vocabulary_;
    std::vector<special> specials_;
    std::array<range, 256> by_first_byte_{};
    std::array<bool, 256> is_first_byte_{};  // small, for the pass over all of a text
};

}  // namespace tessera::text
