// Small made-up vocabularies, and tokenizers written so plainly that they cannot be wrong.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tessera/core/metadata.hpp"
#include "tessera/text/byte_map.hpp"
#include "tessera/text/token.hpp"

namespace support {

using tessera::text::token_id;
using tessera::text::token_type;

/// Builds `tokenizer.*` metadata token by token.
class vocabulary_builder {
public:
    explicit vocabulary_builder(std::string model) { keys_.set("tokenizer.ggml.model", std::move(model)); }

    token_id add(std::string text, token_type type = token_type::normal, float score = 0.0f) {
        tokens_.push_back(std::move(text));
        types_.push_back(static_cast<std::int32_t>(type));
        scores_.push_back(score);
        return static_cast<token_id>(tokens_.size() - 1);
    }
    void add_merge(const std::string& left, const std::string& right) { merges_.push_back(left + " " + right); }
    void set(std::string key, tessera::metadata_value value) {
        keys_.set("tokenizer.ggml." + std::move(key), std::move(value));
    }

    [[nodiscard]] tessera::metadata build() const {
        tessera::metadata keys = keys_;
        keys.set("tokenizer.ggml.tokens", tokens_);
        keys.set("tokenizer.ggml.token_type", types_);
        keys.set("tokenizer.ggml.scores", scores_);
        keys.set("tokenizer.ggml.merges", merges_);
        return keys;
    }
    [[nodiscard]] const std::vector<std::string>& tokens() const { return tokens_; }
    [[nodiscard]] const std::vector<float>& scores() const { return scores_; }
    [[nodiscard]] const std::vector<std::string>& merges() const { return merges_; }

private:
    tessera::metadata keys_;
    std::vector<std::string> tokens_;
    std::vector<std::int32_t> types_;
    std::vector<float> scores_;
    std::vector<std::string> merges_;
};

/// SentencePiece style: <unk>, <s>, </s>, 256 bytes, then whatever a test adds.
inline vocabulary_builder sentence_pieces(std::string model = "llama") {
    vocabulary_builder vocabulary(std::move(model));
    vocabulary.add("<unk>", token_type::unknown);
    vocabulary.add("<s>", token_type::control);
    vocabulary.add("</s>", token_type::control);
    for (int byte = 0; byte < 256; ++byte) {
        constexpr std::string_view digits = "0123456789ABCDEF";
        const auto b = static_cast<std::size_t>(byte);
        vocabulary.add({'<', '0', 'x', digits[b / 16], digits[b % 16], '>'}, token_type::byte);
    }
    return vocabulary;
}

/// Byte-level: the 256 bytes, then whatever a test adds.
inline vocabulary_builder byte_pieces(std::string pre) {
    vocabulary_builder vocabulary("gpt2");
    vocabulary.set("pre", std::move(pre));
    for (int byte = 0; byte < 256; ++byte) {
        std::string spelled;
        tessera::text::append_spelled_byte(spelled, static_cast<char>(byte));
        vocabulary.add(spelled);
    }
    return vocabulary;
}

/// Merges neighbours by looking at all of them every time: best(left, right) gives a priority, lower first.
template <class Best>
std::vector<std::string> merge_plainly(std::vector<std::string> parts, const Best& best) {
    for (;;) {
        std::optional<std::pair<double, std::size_t>> chosen;
        for (std::size_t i = 0; i + 1 < parts.size(); ++i)
            if (const std::optional<double> rank = best(parts[i], parts[i + 1]))
                if (!chosen || *rank < chosen->first) chosen = {*rank, i};
        if (!chosen) return parts;
        parts[chosen->second] += parts[chosen->second + 1];
        parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(chosen->second) + 1);
    }
}

/// A random text over these characters.
inline std::string random_text(std::mt19937& random, const std::vector<std::string>& characters, std::size_t length) {
    std::string text;
    for (std::size_t i = 0; i < length; ++i) text += characters[random() % characters.size()];
    return text;
}

}  // namespace support
