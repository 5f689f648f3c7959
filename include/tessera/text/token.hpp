// Tokens and what they are.
#pragma once

#include <cstdint>
#include <string_view>

namespace tessera::text {

/// The number of a token in its vocabulary, from 0.
using token_id = std::int32_t;

/// What a token is for, with the numbers that `tokenizer.ggml.token_type` stores.
enum class token_type : std::int32_t {
    undefined = 0,
    normal = 1,
    unknown = 2,       ///< stands for what the vocabulary cannot spell
    control = 3,       ///< steers the model, is no text: begin of text, end of turn, ...
    user_defined = 4,  ///< text that is always one token
    unused = 5,
    byte = 6,  ///< one byte, spelled `<0xFF>`
};

/// U+2581, the visible space of SentencePiece vocabularies.
inline constexpr std::string_view visible_space = "\xe2\x96\x81";

}  // namespace tessera::text
