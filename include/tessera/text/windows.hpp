// From texts to windows of tokens for evaluation.
#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/core/token_windows.hpp"
#include "tessera/text/token.hpp"
#include "tessera/text/tokenizer.hpp"

namespace tessera::text {

struct window_options {
    std::size_t length = 512;    ///< tokens in a window
    std::size_t limit = 0;       ///< windows at most; 0 takes all
    bool parse_special = false;  ///< recognise control tokens spelled out in the text
};

/// Cuts tokens into disjoint windows; a rest shorter than a window is left out. Where there is a `bos`, it takes the
/// place of the first token of every window. Throws when there is not one whole window.
[[nodiscard]] inline token_windows cut_windows(std::vector<token_id> tokens, std::optional<token_id> bos,
                                               const window_options& options = {}) {
    if (options.length < 3) fail("windows: wanted a length of at least 3 tokens, got ", options.length);
    std::size_t count = tokens.size() / options.length;
    if (count == 0) fail("windows: wanted a text of at least ", options.length, " tokens, got ", tokens.size());
    if (options.limit > 0) count = std::min(count, options.limit);
    tokens.resize(count * options.length);
    if (bos)
        for (std::size_t i = 0; i < tokens.size(); i += options.length) tokens[i] = *bos;
    return {std::move(tokens), options.length};
}

/// Cuts a text into disjoint windows as llama.cpp's tools do: the text is tokenized once, special tokens added; a rest
/// shorter than a window is left out; the first token of every window gives way to the begin-of-text token when the
/// vocabulary adds one. Throws when the text is shorter than one window or the vocabulary ends texts with a token,
/// which would fall somewhere into a window.
[[nodiscard]] inline token_windows cut_windows(const tokenizer& tokenizer, std::string_view text,
                                               const window_options& options = {}) {
    if (tokenizer.adds_eos()) fail("windows: wanted a vocabulary that adds no end-of-text token, got one that does");
    return cut_windows(tokenizer.encode(text, {.parse_special = options.parse_special}),
                       tokenizer.adds_bos() ? tokenizer.bos() : std::nullopt, options);
}

}  // namespace tessera::text
