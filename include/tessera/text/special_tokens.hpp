// Finds the tokens that stand for themselves in a text, before any merging.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
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
    explicit special_splitter(const vocabulary& vocabulary) {
        for (token_id id = 0; vocabulary.contains(id); ++id) {
            const token_type type = vocabulary.type(id);
            if (type == token_type::user_defined || type == token_type::control || type == token_type::unknown)
                specials_.push_back({vocabulary.text(id), id, type == token_type::user_defined});
        }
        std::sort(specials_.begin(), specials_.end(),
                  [](const special& a, const special& b) { return a.text < b.text; });
        for (std::size_t i = 0; i < specials_.size(); ++i) {
            range& bucket = by_first_byte_[static_cast<unsigned char>(specials_[i].text[0])];
            if (bucket.begin == bucket.end) bucket.begin = i;
            bucket.end = i + 1;
        }
    }

    /// The fragments of `text` from left to right, none of them empty.
    [[nodiscard]] std::vector<fragment> split(std::string_view text, special_text wanted) const {
        std::vector<fragment> fragments;
        if (!text.empty()) fragments.push_back({text, std::nullopt});
        for (const special* token : occurring_in(text, wanted)) fragments = split_at(*token, fragments);
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

    // One pass over the text finds the few tokens that are there at all, so that only those are searched for. The
    // tokens in order of text serve as a trie: those that share a prefix are neighbours, and the prefix itself comes
    // first.
    std::vector<const special*> occurring_in(std::string_view text, special_text wanted) const {
        std::vector<const special*> found;
        std::vector<bool> seen(specials_.size());
        for (std::size_t at = 0; at < text.size(); ++at) {
            auto [begin, end] = by_first_byte_[static_cast<unsigned char>(text[at])];
            for (std::size_t depth = 1; begin < end; ++depth) {
                if (specials_[begin].text.size() == depth) {
                    if (!seen[begin] && (wanted == special_text::all || specials_[begin].is_user_defined))
                        found.push_back(&specials_[begin]);
                    seen[begin++] = true;
                }
                if (at + depth == text.size()) break;
                const auto byte_at_depth = [&](const special& token) {
                    return static_cast<unsigned char>(token.text[depth]);
                };
                const auto byte = static_cast<unsigned char>(text[at + depth]);
                const auto first = specials_.begin() + static_cast<std::ptrdiff_t>(begin);
                const auto last = specials_.begin() + static_cast<std::ptrdiff_t>(end);
                const auto low =
                    std::partition_point(first, last, [&](const special& t) { return byte_at_depth(t) < byte; });
                const auto high =
                    std::partition_point(low, last, [&](const special& t) { return byte_at_depth(t) == byte; });
                begin = static_cast<std::size_t>(low - specials_.begin());
                end = static_cast<std::size_t>(high - specials_.begin());
            }
        }
        std::sort(found.begin(), found.end(), [](const special* a, const special* b) {
            return a->text.size() != b->text.size() ? a->text.size() > b->text.size() : a->id < b->id;
        });
        return found;
    }

    static std::vector<fragment> split_at(const special& token, const std::vector<fragment>& fragments) {
        std::vector<fragment> out;
        out.reserve(fragments.size());
        for (const fragment& part : fragments) {
            std::string_view rest = part.text;
            while (!part.token) {
                const std::size_t found = rest.find(token.text);
                if (found == std::string_view::npos) break;
                if (found > 0) out.push_back({rest.substr(0, found), std::nullopt});
                out.push_back({rest.substr(found, token.text.size()), token.id});
                rest.remove_prefix(found + token.text.size());
            }
            if (!rest.empty()) out.push_back({rest, part.token});
        }
        return out;
    }

    std::vector<special> specials_;
    std::array<range, 256> by_first_byte_{};
};

}  // namespace tessera::text
