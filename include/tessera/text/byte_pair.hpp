// Byte-level vocabularies ("gpt2"): text cut into pieces by regular expressions, bytes merged by rank inside a piece.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/core/metadata.hpp"
#include "tessera/core/utf8.hpp"
#include "tessera/text/byte_map.hpp"
#include "tessera/text/merge_table.hpp"
#include "tessera/text/merging.hpp"
#include "tessera/text/normalization.hpp"
#include "tessera/text/pre_tokenizer.hpp"
#include "tessera/text/token.hpp"
#include "tessera/text/vocabulary.hpp"
#include "tessera/text/workspace.hpp"

namespace tessera::text {

/// Encodes and decodes text without special tokens. Refers to the vocabulary, which must stay.
class byte_pair_model {
public:
    /// Reads `tokenizer.ggml.merges`, each two texts with a space between. Throws when one is malformed.
    byte_pair_model(const vocabulary& vocabulary, const metadata& keys)
        : vocabulary_(&vocabulary), pre_tokenizer_(vocabulary.pre_tokenizer()->patterns) {
        for (std::size_t byte = 0; byte < byte_symbols_.size(); ++byte) {
            std::string spelled;
            append_spelled_byte(spelled, static_cast<char>(byte));
            byte_symbols_[byte] = intern(spelled);
        }
        const auto& lines = keys.require<std::vector<std::string>>("tokenizer.ggml.merges");
        if (lines.size() > std::size_t{std::numeric_limits<std::int32_t>::max()} / 4)
            fail("metadata key tokenizer.ggml.merges: wanted at most ", std::numeric_limits<std::int32_t>::max() / 4,
                 " merges, got ", lines.size());
        merges_ = merge_table(lines.size());
        for (std::size_t rank = 0; rank < lines.size(); ++rank) add_merge(lines[rank], static_cast<std::int32_t>(rank));
    }

    /// Appends the tokens of `text` in that normal form; bytes that are no UTF-8 count as U+FFFD.
    void encode(std::string_view text, normalization form, workspace& work, std::vector<token_id>& out) const {
        std::string changed;
        if (valid_utf8_prefix(text) < text.size()) text = changed = repaired_utf8(text);
        if (form == normalization::nfc) text = changed = composed(text);
        pre_tokenizer_.split(text, [&](std::string_view piece) {
            work.append_tokens(piece, out, [&](auto&&... part) { encode_piece(part...); });
        });
    }

    /// Appends the bytes of a token that is text.
    void decode(token_id id, std::string& out) const { append_unspelled(out, vocabulary_->text(id)); }

private:
    // Symbols are tokens, followed by the texts that only occur in merges.
    std::int32_t intern(const std::string& text) {
        if (const auto id = vocabulary_->find(text)) return *id;
        const auto [entry, is_new] =
            untokened_.try_emplace(text, static_cast<std::int32_t>(vocabulary_->size() + spellings_.size()));
        if (is_new) {
            std::vector<token_id>& spelling = spellings_.emplace_back();
            for (const char byte : text)
                if (const auto id = vocabulary_->find({&byte, 1})) spelling.push_back(*id);
        }
        return entry->second;
    }

    void add_merge(const std::string& line, std::int32_t rank) {
        const std::size_t space = line.find(' ', 1);
        if (space == std::string::npos || space + 1 == line.size())
            fail("metadata key tokenizer.ggml.merges: wanted two texts with a space between, got \"", line,
                 "\" as number ", rank);
        const std::string left = line.substr(0, space);
        const std::string right = line.substr(space + 1);
        merges_.add(intern(left), intern(right), {rank, intern(left + right)});
    }

    void encode_piece(std::string_view piece, merger& work, std::vector<token_id>& out) const {
        if (vocabulary_->pre_tokenizer()->ignore_merges) {
            std::string spelled;
            append_spelled(spelled, piece);
            if (const auto id = vocabulary_->find(spelled)) return out.push_back(*id);
        }
        work.begin(piece.size());
        for (std::size_t i = 0; i < piece.size(); ++i)
            work.push(i, 1, byte_symbols_[static_cast<unsigned char>(piece[i])]);
        work.run([&](const symbol& left, const symbol& right) { return merges_.find(left.id, right.id); });
        for (const symbol& part : work.symbols()) {
            if (part.length == 0) continue;
            if (vocabulary_->contains(part.id)) {
                out.push_back(part.id);
            } else {  // no token: its characters, as far as they are tokens
                const auto& spelling = spellings_[static_cast<std::size_t>(part.id) - vocabulary_->size()];
                out.insert(out.end(), spelling.begin(), spelling.end());
            }
        }
    }

    const vocabulary* vocabulary_;
    pre_tokenizer pre_tokenizer_;
    std::array<std::int32_t, 256> byte_symbols_{};
    std::unordered_map<std::string, std::int32_t> untokened_;
    std::vector<std::vector<token_id>> spellings_;  // of the symbols that are no tokens
    merge_table merges_{0};
};

}  // namespace tessera::text
