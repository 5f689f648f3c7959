// A vocabulary while it is being read from a Hugging Face directory.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/core/replaced.hpp"
#include "tessera/text/token.hpp"

namespace tessera::huggingface {

/// The arrays that become `tokenizer.ggml.*`.
struct vocabulary_draft {
    std::string model;            ///< "llama" or "gpt2"
    std::string pre = "default";  ///< name of the pre-tokenizer
    std::vector<std::string> tokens;
    std::vector<text::token_type> types;    ///< one a token
    std::vector<float> scores;              ///< one a token for "llama", else empty
    std::vector<std::string> merges;        ///< for "gpt2"
    std::optional<bool> adds_space_prefix;  ///< when the files say so
    std::size_t trained = 0;                ///< tokens at the front that a tokenizer.model was trained with

    /// Fills the vocabulary with tokens that stand for nothing.
    void reset(std::size_t size, float padding_score) {
        tokens.resize(size);
        for (std::size_t i = 0; i < size; ++i) tokens[i] = concat("[PAD", i, "]");
        types.assign(size, text::token_type::unused);
        scores.assign(size, padding_score);
    }
};

/// An entry that a tokenizer got on top of its trained vocabulary.
struct added_token {
    std::size_t id = 0;
    std::string text;
    bool is_special = false;  ///< said to be one; some that are not look like one nevertheless
};

/// Whether a token's text alone shows that it steers the model.
[[nodiscard]] inline bool looks_special(std::string_view text) {
    static constexpr std::array<std::string_view, 4> known{"<pad>", "<mask>", "<2mass>", "[@BOS@]"};
    const auto is_between = [&](std::string_view open, std::string_view close) {
        return text.size() >= open.size() + close.size() && text.starts_with(open) && text.ends_with(close);
    };
    return std::find(known.begin(), known.end(), text) != known.end() || is_between("<|", "|>") ||
           is_between("<｜", "｜>") || is_between("<unused", ">");
}

/// Puts added tokens in their places; those beyond the vocabulary are left out, since the model has no row for them.
/// Without a `score` they keep what their place has.
inline void place(const std::vector<added_token>& added, vocabulary_draft& draft, std::optional<float> score) {
    for (const added_token& token : added) {
        if (token.id >= draft.tokens.size()) continue;
        const bool is_control = token.is_special || looks_special(token.text);
        draft.tokens[token.id] = is_control ? token.text : replaced(token.text, text::visible_space, " ");
        draft.types[token.id] = is_control ? text::token_type::control : text::token_type::user_defined;
        if (score) draft.scores[token.id] = *score;
    }
}

}  // namespace tessera::huggingface
