// SentencePiece-style vocabularies ("llama" and "gemma4"): characters merged by score, bytes for what no token spells.
#pragma once

#include <algorithm>
#include <array>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/core/replaced.hpp"
#include "tessera/core/utf8.hpp"
#include "tessera/text/merging.hpp"
#include "tessera/text/token.hpp"
#include "tessera/text/vocabulary.hpp"
#include "tessera/text/workspace.hpp"

namespace tessera::text {

/// How a stretch of text starts: as it is written, or with a space that the text does not have.
enum class text_start { as_written, spaced };

/// Encodes and decodes text without special tokens. Refers to the vocabulary, which must stay.
class sentence_piece_model {
public:
    /// Throws when a token of byte type is not spelled `<0xFF>`.
    explicit sentence_piece_model(const vocabulary& vocabulary) : vocabulary_(&vocabulary) {
        rank_by_score();
        for (token_id id = 0; vocabulary.contains(id); ++id) {
            if (vocabulary.type(id) == token_type::byte && !spelled_byte(vocabulary.text(id)))
                fail("metadata key tokenizer.ggml.tokens: wanted the byte token ", id, " in the form <0xFF>, got ",
                     vocabulary.text(id));
            for_each_word_start(vocabulary.text(id), [&](std::size_t at) {
                joins_words_.set(static_cast<unsigned char>(vocabulary.text(id)[at - 1]));
            });
        }
        for (std::size_t byte = 0; byte < byte_tokens_.size(); ++byte) byte_tokens_[byte] = find_byte(byte);
    }

    /// Appends the tokens of `text`. Throws when a byte has no token.
    void encode(std::string_view text, text_start start, workspace& work, std::vector<token_id>& out) const {
        // Long texts go by blocks, so that they are not copied as a whole.
        constexpr std::size_t block = std::size_t{1} << 20;
        while (text.size() > block) {
            const std::size_t cut = next_cut(text, block);
            if (cut == text.size()) break;
            encode_block(text.substr(0, cut), start, work, out);
            text.remove_prefix(cut);
            start = text_start::as_written;
        }
        encode_block(text, start, work, out);
    }

    /// Appends the bytes of a token that is text.
    void decode(token_id id, std::string& out) const {
        if (vocabulary_->type(id) == token_type::byte)
            out += static_cast<char>(*spelled_byte(vocabulary_->text(id)));
        else
            out += replaced(vocabulary_->text(id), visible_space, " ");
    }

private:
    // Where a word starts that no token reaches into, at `from` or after it; the text's size when there is no such
    // place, or none that can be told from the bytes around it.
    std::size_t next_cut(std::string_view text, std::size_t from) const {
        for (std::size_t at = text.find(' ', from); at != std::string_view::npos; at = text.find(' ', at + 1)) {
            // Four letters of ASCII: in text that is no UTF-8, too, a character begins after them.
            const std::string_view before = text.substr(at - 4, 4);
            const bool is_plain =
                std::all_of(before.begin(), before.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
            if (is_plain && before[3] != ' ' && !joins_words_[static_cast<unsigned char>(before[3])]) return at;
        }
        return text.size();
    }

    void encode_block(std::string_view text, text_start start, workspace& work, std::vector<token_id>& out) const {
        std::string escaped = replaced(text, " ", visible_space);
        if (start == text_start::spaced) escaped.insert(0, visible_space);
        std::size_t begin = 0;
        const auto encode_up_to = [&](std::size_t end) {
            work.append_tokens(std::string_view(escaped).substr(begin, end - begin), out,
                               [&](auto&&... word) { encode_word(word...); });
            begin = end;
        };
        // No token reaches across these starts of words, so words are independent.
        for_each_word_start(escaped, [&](std::size_t at) {
            if (!joins_words_[static_cast<unsigned char>(escaped[at - 1])]) encode_up_to(at);
        });
        encode_up_to(escaped.size());
    }

    // Equal scores share a rank, so that the leftmost pair among them wins.
    void rank_by_score() {
        std::vector<float> scores(vocabulary_->size());
        for (std::size_t i = 0; i < scores.size(); ++i) scores[i] = vocabulary_->score(static_cast<token_id>(i));
        std::vector<float> order = scores;
        std::sort(order.begin(), order.end(), std::greater<>());
        order.erase(std::unique(order.begin(), order.end()), order.end());
        ranks_.reserve(scores.size());
        for (const float score : scores)
            ranks_.push_back(static_cast<std::int32_t>(
                std::lower_bound(order.begin(), order.end(), score, std::greater<>()) - order.begin()));
    }

    // Calls visit(at) for every visible space that follows another character. Goes by characters: in text that is no
    // UTF-8 a visible space may be bytes of a longer one.
    template <class Visit>
    static void for_each_word_start(std::string_view text, const Visit& visit) {
        bool is_inside = false;
        for (std::size_t at = 0; at < text.size(); at += utf8_length(text[at])) {
            const bool is_space = text.substr(at).starts_with(visible_space);
            if (is_space && is_inside) visit(at);
            is_inside = !is_space;
        }
    }

    static std::optional<unsigned> spelled_byte(std::string_view text) {
        if (text.size() != 6 || !text.starts_with("<0x") || text[5] != '>') return std::nullopt;
        unsigned value = 0;
        for (const char c : text.substr(3, 2)) {
            const std::size_t digit = std::string_view("0123456789ABCDEFabcdef").find(c);
            if (digit == std::string_view::npos) return std::nullopt;
            value = value * 16 + static_cast<unsigned>(digit < 16 ? digit : digit - 6);
        }
        return value;
    }

    std::optional<token_id> find_byte(std::size_t byte) const {
        constexpr std::string_view digits = "0123456789ABCDEF";
        const std::string spelled{'<', '0', 'x', digits[byte / 16], digits[byte % 16], '>'};
        const auto found = vocabulary_->find(spelled);
        return found ? found : vocabulary_->find(std::string(1, static_cast<char>(byte)));
    }

    void encode_word(std::string_view text, merger& work, std::vector<token_id>& out) const {
        work.begin(text.size());
        for (std::size_t at = 0; at < text.size();) {
            const std::size_t length = std::min(utf8_length(text[at]), text.size() - at);
            work.push(at, length, vocabulary_->find(text.substr(at, length)).value_or(no_token));
            at += length;
        }
        work.run([&](const symbol& left, const symbol& right) -> std::optional<merge> {
            const auto id = vocabulary_->find(text.substr(left.begin, left.length + right.length));
            if (!id) return std::nullopt;
            return merge{ranks_[static_cast<std::size_t>(*id)], *id};
        });
        for (const symbol& part : work.symbols()) {
            if (part.length == 0) continue;
            if (part.id != no_token) {
                out.push_back(part.id);
                continue;
            }
            for (const char c : text.substr(part.begin, part.length)) {
                const auto byte = static_cast<unsigned char>(c);
                if (!byte_tokens_[byte]) fail("tokenizer: the vocabulary has no token for the byte ", unsigned{byte});
                out.push_back(*byte_tokens_[byte]);
            }
        }
    }

    static constexpr token_id no_token = -1;

    const vocabulary* vocabulary_;
    std::vector<std::int32_t> ranks_;
    std::array<std::optional<token_id>, 256> byte_tokens_;
    std::bitset<256> joins_words_;  // the bytes after which some token goes on with a visible space
};

}  // namespace tessera::text
