// The tokenizer of a Hugging Face model directory as GGUF metadata.
#pragma once

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
#include "tessera/text/hf/chat_templates.hpp"
#include "tessera/text/hf/draft.hpp"
#include "tessera/text/hf/json.hpp"
#include "tessera/text/hf/sentence_piece_file.hpp"
#include "tessera/text/hf/special_ids.hpp"
#include "tessera/text/hf/tokenizer_json.hpp"

namespace tessera::text {

namespace detail {

// Tokens added on top of a tokenizer.model: { "text": id, ... }.
inline std::vector<hf::added_token> read_added_tokens_file(const std::filesystem::path& path) {
    const hf::json content = hf::read_json_object_if_there(path);
    std::vector<hf::added_token> added;
    for (auto entry = content.begin(); entry != content.end(); ++entry)
        added.push_back(
            {.id = hf::json_value(entry.value(), concat(path.string(), ": ", entry.key())).id(), .text = entry.key()});
    return added;
}

// tokenizer_config.json has them, too: { "added_tokens_decoder": { "id": { "content": ... }, ... } }.
inline std::vector<hf::added_token> configured_tokens(const hf::json_value& tokenizer_config) {
    std::vector<hf::added_token> added;
    const auto decoder = tokenizer_config.find("added_tokens_decoder");
    if (!decoder) return added;
    if (!decoder->get().is_object()) decoder->mismatch("an object");
    for (auto entry = decoder->get().begin(); entry != decoder->get().end(); ++entry) {
        const hf::json_value token(entry.value(), concat(decoder->where(), ".", entry.key()));
        const hf::json number = hf::json::parse(entry.key(), nullptr, false);
        added.push_back({.id = hf::json_value(number, token.where()).id(),
                         .text = token.at("content").string(),
                         .is_special = token.boolean_or("special", false)});
    }
    return added;
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
/// Takes tokenizer.model where there is one, else tokenizer.json; tokenizer_config.json, config.json, added_tokens.json
/// and chat templates as far as they are there. `vocab_size` is the number of rows of the model's embedding: the
/// vocabulary is filled up to it (0: takes the tokenizer's own size). Throws tessera::error naming file and key when
/// something is missing, malformed or of a kind not known here.
[[nodiscard]] inline metadata tokenizer_metadata(const std::filesystem::path& directory, std::uint64_t vocab_size) {
    namespace fs = std::filesystem;
    if (vocab_size > hf::max_vocabulary_size)
        fail(directory.string(), ": wanted a vocabulary of at most ", hf::max_vocabulary_size, " tokens, got ",
             vocab_size);
    const fs::path model_path = directory / "tokenizer.model";
    const fs::path json_path = directory / "tokenizer.json";
    const fs::path tokenizer_config_path = directory / "tokenizer_config.json";
    const fs::path config_path = directory / "config.json";
    const bool has_model = fs::exists(model_path);
    if (!has_model && !fs::exists(json_path))
        fail(directory.string(), ": wanted a tokenizer.model or a tokenizer.json, got neither");

    const hf::json tokenizer_json = hf::read_json_object_if_there(json_path);
    const hf::json tokenizer_config = hf::read_json_object_if_there(tokenizer_config_path);
    hf::json config = hf::read_json_object_if_there(config_path);
    // Models of text and pictures have what belongs to the text in a part of its own.
    if (const auto text = config.find("text_config"); text != config.end() && text->is_object())
        config.update(hf::json(*text));
    const hf::json_value tokenizer_root = hf::root_of(tokenizer_json, json_path);
    const hf::json_value tokenizer_config_root = hf::root_of(tokenizer_config, tokenizer_config_path);

    hf::vocabulary_draft draft = has_model ? hf::read_sentence_piece_file(model_path, vocab_size)
                                           : hf::read_tokenizer_json(tokenizer_root, vocab_size);
    const auto added_score = has_model ? std::optional(-1000.0f) : std::nullopt;
    hf::place(
        has_model ? detail::read_added_tokens_file(directory / "added_tokens.json") : hf::added_tokens(tokenizer_root),
        draft, added_score);
    hf::place(detail::configured_tokens(tokenizer_config_root), draft, added_score);
    detail::require_different(draft.tokens, directory);

    metadata out;
    out.set("tokenizer.ggml.model", draft.model);
    out.set("tokenizer.ggml.pre", draft.pre);
    hf::add_special_ids(tokenizer_config_root, hf::root_of(config, config_path), tokenizer_root, draft, out);
    if (draft.model == "llama") {
        const auto configured = tokenizer_config_root.find("add_prefix_space");
        if (configured) draft.adds_space_prefix = configured->boolean();
        if (draft.adds_space_prefix) out.set("tokenizer.ggml.add_space_prefix", *draft.adds_space_prefix);
    }
    hf::add_chat_templates(directory, tokenizer_config_root, out);
    std::vector<std::int32_t> types(draft.types.size());
    for (std::size_t i = 0; i < types.size(); ++i) types[i] = static_cast<std::int32_t>(draft.types[i]);
    out.set("tokenizer.ggml.tokens", std::move(draft.tokens));
    if (!draft.scores.empty()) out.set("tokenizer.ggml.scores", std::move(draft.scores));
    out.set("tokenizer.ggml.token_type", std::move(types));
    if (draft.model == "gpt2") out.set("tokenizer.ggml.merges", std::move(draft.merges));
    return out;
}

}  // namespace tessera::text
