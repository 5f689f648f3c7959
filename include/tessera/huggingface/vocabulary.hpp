// The tokenizer of a Hugging Face model directory as GGUF metadata.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/core/metadata.hpp"
#include "tessera/huggingface/vocabulary/chat_templates.hpp"
#include "tessera/huggingface/vocabulary/draft.hpp"
#include "tessera/huggingface/vocabulary/json.hpp"
#include "tessera/huggingface/vocabulary/sentence_piece_file.hpp"
#include "tessera/huggingface/vocabulary/special_ids.hpp"
#include "tessera/huggingface/vocabulary/token_claims.hpp"
#include "tessera/huggingface/vocabulary/tokenizer_json.hpp"

namespace tessera::huggingface {

namespace detail {

// Tokens added on top of a tokenizer.model: { "text": id, ... }.
inline std::vector<added_token> read_added_tokens_file(const std::filesystem::path& path) {
    const json content = read_json_object_if_there(path);
    std::vector<added_token> added;
    for (auto entry = content.begin(); entry != content.end(); ++entry)
        added.push_back(
            {.id = json_value(entry.value(), concat(path.string(), ": ", entry.key())).id(), .text = entry.key()});
    return added;
}

// tokenizer_config.json has them, too: { "added_tokens_decoder": { "id": { "content": ... }, ... } }.
inline std::vector<added_token> configured_tokens(const json_value& tokenizer_config) {
    std::vector<added_token> added;
    const auto decoder = tokenizer_config.find("added_tokens_decoder");
    if (!decoder) return added;
    if (!decoder->get().is_object()) decoder->mismatch("an object");
    for (auto entry = decoder->get().begin(); entry != decoder->get().end(); ++entry) {
        const json_value token(entry.value(), concat(decoder->where(), ".", entry.key()));
        const json number = json::parse(entry.key(), nullptr, false);
        added.push_back({.id = json_value(number, token.where()).id(),
                         .text = token.at("content").string(),
                         .is_special = token.boolean_or("special", false)});
    }
    return added;
}

// Tokens on top of a trained vocabulary, by the file that has them.
struct added_by_file {
    std::vector<added_token> file;        // added_tokens.json
    std::vector<added_token> configured;  // tokenizer_config.json
    std::vector<added_token> tokenizer;   // tokenizer.json

    // One more than the highest id; 0 without any.
    [[nodiscard]] std::size_t size() const {
        std::size_t most = 0;
        for (const auto* list : {&file, &configured, &tokenizer})
            for (const added_token& token : *list) most = std::max(most, token.id + 1);
        return most;
    }
};

// Every text that special_tokens_map.json names is a token of some file.
inline void require_known(const std::filesystem::path& path, const token_claims& claims) {
    const json content = read_json_object_if_there(path);
    const json_value root = root_of(content, path);
    const auto check = [&](const json_value& token) {
        const auto content_of = token.get().is_object() ? token.find("content") : std::optional(token);
        if (!content_of || !content_of->get().is_string()) return;
        const std::string& text = content_of->string();
        if (!text.empty() && !claims.has(text))
            token.mismatch("a token that another file of the tokenizer has instead of " + text);
    };
    for (auto entry = content.begin(); entry != content.end(); ++entry) {
        const auto value = root.find(entry.key());
        if (!value) continue;
        if (value->get().is_array())
            value->for_each(check);
        else
            check(*value);
    }
}

// Throws when two files of a directory contradict each other.
inline void require_agreement(const std::filesystem::path& directory, const vocabulary_draft& draft, bool has_model,
                              const json_value& tokenizer_root, const added_by_file& added) {
    const auto name = [&](std::string_view file) { return (directory / file).string(); };
    const std::string model = name("tokenizer.model"), tokenizer = name("tokenizer.json"),
                      file = name("added_tokens.json"), configured = name("tokenizer_config.json");
    token_claims claims;
    for (std::size_t i = 0; has_model && i < draft.trained; ++i) claims.add(i, draft.tokens[i], model);
    const auto trained = tokenizer_root.find("model");
    const auto vocabulary = trained ? trained->find("vocab") : std::nullopt;
    if (vocabulary && vocabulary->get().is_object())
        for (auto entry = vocabulary->get().begin(); entry != vocabulary->get().end(); ++entry)
            claims.add(vocabulary->at(entry.key()).id(), entry.key(), tokenizer);
    for (const added_token& token : added.tokenizer) claims.add(token.id, token.text, tokenizer);
    for (const added_token& token : added.configured) claims.add(token.id, token.text, configured);
    for (const added_token& token : added.file) claims.add(token.id, token.text, file);
    require_known(directory / "special_tokens_map.json", claims);
}

// Puts added tokens in their places. Where two files have one, tokenizer_config.json tells best what it is for.
inline void place_all(const added_by_file& added, vocabulary_draft& draft, bool has_model) {
    const auto score = has_model ? std::optional(-1000.0f) : std::nullopt;
    const auto is_steering = [](text::token_type type) {
        return type == text::token_type::control || type == text::token_type::unknown;
    };
    std::vector<added_token> from_tokenizer;
    for (const added_token& token : added.tokenizer) {
        const bool is_there = has_model && token.id < draft.trained && draft.tokens[token.id] == token.text;
        if (!is_there || !is_steering(draft.types[token.id])) from_tokenizer.push_back(token);
    }
    place(added.file, draft, score);
    place(from_tokenizer, draft, score);
    place(added.configured, draft, score);
}

inline void require_different(const std::vector<std::string>& tokens, const std::filesystem::path& directory) {
    std::unordered_map<std::string_view, std::size_t> seen;
    seen.reserve(tokens.size());
    for (std::size_t i = 0; i < tokens.size(); ++i)
        if (const auto [first, is_new] = seen.emplace(tokens[i], i); !is_new)
            fail(directory.string(), ": wanted different tokens in the vocabulary, got ", tokens[i], " as ",
                 first->second, " and ", i);
}

}  // namespace detail

/// Reads the tokenizer of a model directory into the `tokenizer.*` keys of GGUF, ready for a file and for `tokenizer`.
/// Takes the pieces of tokenizer.model where there is one, else those of tokenizer.json; added tokens and chat
/// templates from wherever they are: tokenizer.json, tokenizer_config.json, config.json, added_tokens.json. What these
/// files and special_tokens_map.json say about a token has to agree. `vocab_size` is the number of rows of the model's
/// embedding: the vocabulary is filled up to it (0: takes the tokenizer's own size). Throws tessera::error naming file
/// and key when something is missing, malformed or of a kind not known here, and both files where two contradict each
/// other.
[[nodiscard]] inline metadata tokenizer_metadata(const std::filesystem::path& directory, std::uint64_t vocab_size) {
    namespace fs = std::filesystem;
    if (vocab_size > max_vocabulary_size)
        fail(directory.string(), ": wanted a vocabulary of at most ", max_vocabulary_size, " tokens, got ", vocab_size);
    const fs::path model_path = directory / "tokenizer.model";
    const fs::path json_path = directory / "tokenizer.json";
    const fs::path added_path = directory / "added_tokens.json";
    const fs::path tokenizer_config_path = directory / "tokenizer_config.json";
    const fs::path config_path = directory / "config.json";
    const bool has_model = fs::exists(model_path);
    const bool has_json = fs::exists(json_path);
    if (!has_model && !has_json)
        fail(directory.string(), ": wanted a tokenizer.model or a tokenizer.json, got neither");

    const json tokenizer_json = read_json_object_if_there(json_path);
    const json tokenizer_config = read_json_object_if_there(tokenizer_config_path);
    json config = read_json_object_if_there(config_path);
    // Multimodal models have what belongs to the text in a part of its own.
    if (const auto text = config.find("text_config"); text != config.end() && text->is_object())
        config.update(json(*text));
    const json_value tokenizer_root = root_of(tokenizer_json, json_path);
    const json_value tokenizer_config_root = root_of(tokenizer_config, tokenizer_config_path);
    const detail::added_by_file added{detail::read_added_tokens_file(added_path),
                                      detail::configured_tokens(tokenizer_config_root), added_tokens(tokenizer_root)};

    const std::uint64_t own_size = vocab_size == 0 ? added.size() : 0;
    vocabulary_draft draft = has_model ? read_sentence_piece_file(model_path, vocab_size, own_size)
                                       : read_tokenizer_json(tokenizer_root, vocab_size);
    if (has_model && draft.trained < draft.tokens.size() && added.size() <= draft.trained)
        fail(model_path.string(), ": wanted ", draft.tokens.size(), " pieces, one a row of the model's embedding, got ",
             draft.trained, " and no added tokens for the rest: the file may be cut short");
    detail::require_agreement(directory, draft, has_model, tokenizer_root, added);
    detail::place_all(added, draft, has_model);
    detail::require_different(draft.tokens, directory);

    metadata out;
    out.set("tokenizer.ggml.model", draft.model);
    out.set("tokenizer.ggml.pre", draft.pre);
    add_special_ids(tokenizer_config_root, root_of(config, config_path), tokenizer_root, draft, out);
    if (draft.model == "llama") {
        const auto configured = tokenizer_config_root.find("add_prefix_space");
        if (configured) draft.adds_space_prefix = configured->boolean();
        if (draft.adds_space_prefix) out.set("tokenizer.ggml.add_space_prefix", *draft.adds_space_prefix);
    }
    add_chat_templates(directory, tokenizer_config_root, out);
    std::vector<std::int32_t> types(draft.types.size());
    for (std::size_t i = 0; i < types.size(); ++i) types[i] = static_cast<std::int32_t>(draft.types[i]);
    out.set("tokenizer.ggml.tokens", std::move(draft.tokens));
    if (!draft.scores.empty()) out.set("tokenizer.ggml.scores", std::move(draft.scores));
    out.set("tokenizer.ggml.token_type", std::move(types));
    if (draft.model == "gpt2") out.set("tokenizer.ggml.merges", std::move(draft.merges));
    return out;
}

}  // namespace tessera::huggingface
