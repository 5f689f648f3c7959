// The tokens of a model, from the `tokenizer.*` metadata of a GGUF file.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/core/metadata.hpp"
#include "tessera/text/merge_scores.hpp"
#include "tessera/text/pre_tokenizer_rules.hpp"
#include "tessera/text/token.hpp"

namespace tessera::text {

/// How a vocabulary turns text into tokens: the value of `tokenizer.ggml.model`.
enum class vocabulary_model {
    sentence_piece,  ///< "llama": merges by score over characters, bytes as a fall-back
    merged_pieces,   ///< "gemma4": the same, by rank of merge
    byte_pair,       ///< "gpt2": merges by rank over bytes
};

/// Texts, types and scores of all tokens, the ids with a meaning, and the defaults that follow from the model's kind.
class vocabulary {
public:
    /// Throws when a required key is missing, has another type, names an unknown model or pre-tokenizer, when arrays
    /// are shorter than the tokens, ids out of range, scores not finite or two tokens the same.
    explicit vocabulary(const metadata& keys) : model_(read_model(keys)) {
        texts_ = keys.require<std::vector<std::string>>("tokenizer.ggml.tokens");
        if (texts_.empty() || texts_.size() > std::size_t{std::numeric_limits<token_id>::max()})
            fail("metadata key tokenizer.ggml.tokens: wanted 1 to 2147483647 tokens, got ", texts_.size());
        index_texts();
        read_types(keys);
        read_scores(keys);
        swallows_space_ = is_phi3(keys.get_or<std::string>("general.name", ""));

        const bool is_sentence_piece = model_ == vocabulary_model::sentence_piece;
        if (model_ == vocabulary_model::merged_pieces) score_by_merges(keys);
        if (model_ == vocabulary_model::byte_pair)
            pre_tokenizer_ = &find_pre_tokenizer(keys.get_or<std::string>("tokenizer.ggml.pre", "default"));
        bos_ = read_id(keys, "tokenizer.ggml.bos_token_id", is_sentence_piece ? 1 : -1);
        eos_ = read_id(keys, "tokenizer.ggml.eos_token_id", is_sentence_piece ? 2 : -1);
        adds_bos_ = model_ == vocabulary_model::merged_pieces ||
                    keys.get_or("tokenizer.ggml.add_bos_token", is_sentence_piece || pre_tokenizer_->adds_bos);
        adds_eos_ = keys.get_or("tokenizer.ggml.add_eos_token", false);
        adds_space_prefix_ = keys.get_or("tokenizer.ggml.add_space_prefix", is_sentence_piece);
        if (adds_bos_ && !bos_)
            fail("metadata key tokenizer.ggml.bos_token_id: wanted the token that starts a text, got nothing");
        if (adds_eos_ && !eos_)
            fail("metadata key tokenizer.ggml.eos_token_id: wanted the token that ends a text, got nothing");
    }

    // The index refers to the texts in place.
    vocabulary(const vocabulary&) = delete;
    vocabulary& operator=(const vocabulary&) = delete;

    [[nodiscard]] vocabulary_model model() const noexcept { return model_; }
    [[nodiscard]] std::size_t size() const noexcept { return texts_.size(); }
    [[nodiscard]] bool contains(token_id id) const noexcept { return id >= 0 && static_cast<std::size_t>(id) < size(); }

    /// A token's text as it is stored; `id` is in range.
    [[nodiscard]] std::string_view text(token_id id) const noexcept { return texts_[static_cast<std::size_t>(id)]; }
    [[nodiscard]] token_type type(token_id id) const noexcept { return types_[static_cast<std::size_t>(id)]; }
    /// Merge priority, higher first; 0 for all when the file has none.
    [[nodiscard]] float score(token_id id) const noexcept { return scores_[static_cast<std::size_t>(id)]; }

    /// The token with this text.
    [[nodiscard]] std::optional<token_id> find(std::string_view text) const {
        const auto found = ids_.find(text);
        return found == ids_.end() ? std::nullopt : std::optional(found->second);
    }

    /// Only byte-pair vocabularies have rules.
    [[nodiscard]] const pre_tokenizer_rules* pre_tokenizer() const noexcept { return pre_tokenizer_; }
    [[nodiscard]] std::optional<token_id> bos() const noexcept { return bos_; }
    [[nodiscard]] std::optional<token_id> eos() const noexcept { return eos_; }
    [[nodiscard]] bool adds_bos() const noexcept { return adds_bos_; }
    [[nodiscard]] bool adds_eos() const noexcept { return adds_eos_; }
    [[nodiscard]] bool adds_space_prefix() const noexcept { return adds_space_prefix_; }
    /// Whether white space after this token, which is found by its text, belongs to it. GGUF has no key for that; it
    /// is so with the markers of turns in Phi-3, which llama.cpp tells by the model's name.
    [[nodiscard]] bool swallows_space(token_id id) const noexcept {
        return swallows_space_ && text(id) != "<unk>" && text(id) != "<s>" && text(id) != "<|endoftext|>";
    }

private:
    static vocabulary_model read_model(const metadata& keys) {
        const auto& name = keys.require<std::string>("tokenizer.ggml.model");
        if (name == "llama") return vocabulary_model::sentence_piece;
        if (name == "gemma4") return vocabulary_model::merged_pieces;
        if (name == "gpt2") return vocabulary_model::byte_pair;
        if (name == "no_vocab" || name == "none")
            fail("metadata key tokenizer.ggml.model: the model has no vocabulary (", name, "), so it cannot read text");
        fail("metadata key tokenizer.ggml.model: wanted llama, gemma4 or gpt2, got ", name);
    }

    static bool is_phi3(std::string name) {
        std::transform(name.begin(), name.end(), name.begin(),
                       [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
        return name.find("phi-3") != std::string::npos || name.find("phi3") != std::string::npos;
    }

    void index_texts() {
        ids_.reserve(texts_.size());
        for (std::size_t i = 0; i < texts_.size(); ++i) {
            if (texts_[i].empty()) texts_[i] = concat("[EMPTY_", i, "]");
            const auto [place, is_new] = ids_.emplace(texts_[i], static_cast<token_id>(i));
            if (!is_new)
                fail("metadata key tokenizer.ggml.tokens: wanted different tokens, got ", texts_[i], " as ",
                     place->second, " and ", i);
        }
    }

    void read_types(const metadata& keys) {
        types_.assign(size(), token_type::normal);
        if (const auto* stored = keys.get<std::vector<std::int32_t>>("tokenizer.ggml.token_type")) {
            require_length("tokenizer.ggml.token_type", stored->size());
            for (std::size_t i = 0; i < size(); ++i) {
                if ((*stored)[i] < 0 || (*stored)[i] > static_cast<std::int32_t>(token_type::byte))
                    fail("metadata key tokenizer.ggml.token_type: wanted 0 to 6, got ", (*stored)[i], " for token ", i);
                types_[i] = static_cast<token_type>((*stored)[i]);
            }
        }
        // Files in the wild get these wrong, and every reader corrects them by their text.
        static constexpr std::string_view ends_generation[] = {"<|eot_id|>",
                                                               "<|eom_id|>",
                                                               "<|im_end|>",
                                                               "<|end|>",
                                                               "<end_of_turn>",
                                                               "<|endoftext|>",
                                                               "<|end_of_text|>",
                                                               "<EOT>",
                                                               "_<EOT>",
                                                               "[EOT]",
                                                               "<｜end▁of▁sentence｜>",
                                                               "<end_of_utterance>",
                                                               "<|return|>",
                                                               "<|call|>",
                                                               "<|calls|>",
                                                               "<|flush|>",
                                                               "</s>",
                                                               "<eos>",
                                                               "<turn|>",
                                                               "<|tool_response>",
                                                               "[EOS]",
                                                               "[e~["};
        static constexpr std::string_view is_user_text[] = {"<|channel|>", "<|message|>", "<|start|>", "<|constrain|>"};
        for (const std::string_view text : ends_generation) force_type(text, token_type::control);
        for (const std::string_view text : is_user_text) force_type(text, token_type::user_defined);
        // In the harmony format <|end|> ends a message, not the turn.
        if (find("<|return|>") && find("<|call|>")) force_type("<|end|>", token_type::user_defined);
    }

    void force_type(std::string_view text, token_type type) {
        if (const auto id = find(text)) types_[static_cast<std::size_t>(*id)] = type;
    }

    void read_scores(const metadata& keys) {
        constexpr std::string_view key = "tokenizer.ggml.scores";
        const metadata_value* stored = keys.find(key);
        scores_.assign(size(), 0.0f);
        if (stored == nullptr) return;
        if (const auto* integers = std::get_if<std::vector<std::int32_t>>(stored)) {
            require_length(key, integers->size());
            for (std::size_t i = 0; i < size(); ++i) scores_[i] = static_cast<float>((*integers)[i]);
            return;
        }
        const auto& floats = keys.require<std::vector<float>>(key);
        require_length(key, floats.size());
        std::copy_n(floats.begin(), size(), scores_.begin());
        const auto bad = std::find_if(scores_.begin(), scores_.end(), [](float score) { return std::isnan(score); });
        if (bad != scores_.end())
            fail("metadata key ", key, ": wanted numbers, got NaN for token ", bad - scores_.begin());
    }

    void score_by_merges(const metadata& keys) {
        const auto& merges = keys.require<std::vector<std::string>>("tokenizer.ggml.merges");
        scores_ = merge_scores(size(), merges.size(), [&](std::size_t rank) {
            std::string made = merges[rank];
            if (const std::size_t space = made.find(' ', 1); space != std::string::npos) made.erase(space, 1);
            const auto id = find(made);
            if (!id)
                fail("metadata key tokenizer.ggml.merges: wanted merges that make tokens, got \"", merges[rank],
                     "\" as number ", rank);
            return static_cast<std::size_t>(*id);
        });
    }

    void require_length(std::string_view key, std::size_t length) const {
        if (length < size()) fail("metadata key ", key, ": wanted ", size(), " values, one a token, got ", length);
    }

    // An id that the file does not give is `otherwise`, or none when the vocabulary has no such token.
    std::optional<token_id> read_id(const metadata& keys, std::string_view key, token_id otherwise) const {
        if (const auto stored = keys.get_count(key, size() - 1)) return static_cast<token_id>(*stored);
        return contains(otherwise) ? std::optional(otherwise) : std::nullopt;
    }

    vocabulary_model model_;
    std::vector<std::string> texts_;
    std::unordered_map<std::string_view, token_id> ids_;
    std::vector<token_type> types_;
    std::vector<float> scores_;
    const pre_tokenizer_rules* pre_tokenizer_ = nullptr;
    std::optional<token_id> bos_;
    std::optional<token_id> eos_;
    bool adds_bos_ = false;
    bool adds_eos_ = false;
    bool adds_space_prefix_ = false;
    bool swallows_space_ = false;
};

}  // namespace tessera::text
