// From text to tokens and back.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/core/metadata.hpp"
#include "tessera/text/byte_pair.hpp"
#include "tessera/text/sentence_piece.hpp"
#include "tessera/text/special_tokens.hpp"
#include "tessera/text/token.hpp"
#include "tessera/text/vocabulary.hpp"
#include "tessera/text/workspace.hpp"

namespace tessera::text {

struct encode_options {
    bool add_special = true;     ///< begin- and end-of-text tokens where the vocabulary asks for them
    bool parse_special = false;  ///< recognise control tokens spelled out in the text; user-defined ones always are
    bool normalize = true;       ///< bring text into the normal form the model was trained on; llama.cpp never does
};

struct decode_options {
    bool show_special = false;  ///< control tokens appear by their text
};

/// A tokenizer, built from those keys of GGUF that begin with `tokenizer`. Behaves as llama.cpp does, normal forms
/// apart. Its const functions may be used from several threads at once.
class tokenizer {
public:
    /// Throws when the metadata hold no vocabulary, one of an unknown kind, or one that contradicts itself.
    explicit tokenizer(const metadata& keys)
        : vocabulary_(std::make_unique<const vocabulary>(keys)),
          specials_(*vocabulary_),
          model_(make_model(*vocabulary_, keys)) {}

    /// The tokens of a text. Text that is no UTF-8 is taken as far as the model can: byte by byte or as U+FFFD.
    [[nodiscard]] std::vector<token_id> encode(std::string_view text, encode_options options = {}) const {
        workspace work;
        std::vector<token_id> out;
        encode(text, work, out, options);
        return out;
    }

    /// As above, for many texts: appends to `out`, and remembers in `work`, which is this tokenizer's only.
    void encode(std::string_view text, workspace& work, std::vector<token_id>& out, encode_options options = {}) const {
        if (options.add_special && adds_bos()) out.push_back(*bos());
        const text_start first_start = vocabulary_->adds_space_prefix() ? text_start::spaced : text_start::as_written;
        text_start start = first_start;
        const auto wanted = options.parse_special ? special_text::all : special_text::user_defined_only;
        for (const fragment& part : specials_.split(text, wanted)) {
            if (part.token)
                out.push_back(*part.token);
            else if (const auto* pieces = std::get_if<sentence_piece_model>(&model_))
                pieces->encode(part.text, start, work, out);
            else
                std::get<byte_pair_model>(model_).encode(
                    part.text, options.normalize ? vocabulary_->pre_tokenizer()->form : normalization::none, work, out);
            start = part.token ? first_start : text_start::as_written;
        }
        if (options.add_special && adds_eos()) out.push_back(*eos());
    }

    /// The text of tokens: undoes encode, except where that normalized or had to replace what is no UTF-8. Throws when
    /// a token is none of the vocabulary's.
    [[nodiscard]] std::string decode(std::span<const token_id> tokens, decode_options options = {}) const {
        std::string out;
        bool is_first_text = true;
        for (const token_id id : tokens) {
            const std::size_t before = out.size();
            switch (type(id)) {
                case token_type::normal:
                case token_type::byte: std::visit([&](const auto& model) { model.decode(id, out); }, model_); break;
                case token_type::user_defined: out += piece(id); break;
                case token_type::control:
                case token_type::unknown:
                    if (options.show_special) out += piece(id);
                    continue;
                case token_type::undefined:
                case token_type::unused: continue;
            }
            if (is_first_text && vocabulary_->adds_space_prefix() && out.size() > before && out[before] == ' ')
                out.erase(before, 1);
            is_first_text = false;
        }
        return out;
    }

    [[nodiscard]] std::size_t size() const noexcept { return vocabulary_->size(); }
    [[nodiscard]] std::optional<token_id> bos() const noexcept { return vocabulary_->bos(); }
    [[nodiscard]] std::optional<token_id> eos() const noexcept { return vocabulary_->eos(); }
    [[nodiscard]] bool adds_bos() const noexcept { return vocabulary_->adds_bos(); }
    [[nodiscard]] bool adds_eos() const noexcept { return vocabulary_->adds_eos(); }

    /// A token's text as it is stored. Throws when the vocabulary has no such token.
    [[nodiscard]] std::string_view piece(token_id id) const { return vocabulary_->text(checked(id)); }
    [[nodiscard]] token_type type(token_id id) const { return vocabulary_->type(checked(id)); }
    /// The token with exactly this stored text.
    [[nodiscard]] std::optional<token_id> find(std::string_view piece) const { return vocabulary_->find(piece); }

private:
    using model = std::variant<sentence_piece_model, byte_pair_model>;

    static model make_model(const vocabulary& vocabulary, const metadata& keys) {
        if (vocabulary.model() == vocabulary_model::byte_pair) return byte_pair_model(vocabulary, keys);
        return sentence_piece_model(vocabulary);
    }

    token_id checked(token_id id) const {
        if (!vocabulary_->contains(id)) fail("tokenizer: wanted a token of 0 to ", size() - 1, ", got ", id);
        return id;
    }

    std::unique_ptr<const vocabulary> vocabulary_;  // where the others can refer to it
    special_splitter specials_;
    model model_;
};

}  // namespace tessera::text
