// tokenizer.json: the vocabulary of Hugging Face's fast tokenizers.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/core/replaced.hpp"
#include "tessera/huggingface/vocabulary/draft.hpp"
#include "tessera/huggingface/vocabulary/json.hpp"
#include "tessera/huggingface/vocabulary/pre_tokenizer_name.hpp"
#include "tessera/text/merge_scores.hpp"
#include "tessera/text/normalization.hpp"
#include "tessera/text/token.hpp"

namespace tessera::huggingface {

namespace detail {

// Whether a step, or one inside its sequence (`list`), satisfies a predicate.
template <class Predicate>
bool any_step(const std::optional<json_value>& step, std::string_view list, const Predicate& predicate) {
    if (!step) return false;
    if (const auto steps = step->find(list)) {
        bool found = false;
        steps->for_each([&](const json_value& part) { found = found || any_step(part, list, predicate); });
        return found;
    }
    return predicate(step->string_or("type", ""), *step);
}

inline bool is_byte_level(const json_value& root) {
    return any_step(root.find("pre_tokenizer"), "pretokenizers",
                    [](const std::string& type, const json_value&) { return type == "ByteLevel"; });
}

inline bool prepends_space(const json_value& root) {
    const auto prepends = [](const std::string& type, const json_value& step) {
        if (type == "Prepend") return true;
        if (type != "Metaspace") return false;
        return step.string_or("prepend_scheme", "always") != "never" && step.boolean_or("add_prefix_space", true);
    };
    return any_step(root.find("normalizer"), "normalizers", prepends) ||
           any_step(root.find("pre_tokenizer"), "pretokenizers", prepends);
}

// The normal form that text is brought into. Throws when more is done to it than tokenizers here know of.
inline text::normalization normal_form(const json_value& root, bool is_byte_level) {
    auto form = text::normalization::none;
    any_step(root.find("normalizer"), "normalizers", [&](const std::string& type, const json_value& step) {
        if (is_byte_level && type == "NFC") {
            form = text::normalization::nfc;
        } else if (!is_byte_level && type == "Replace") {
            if (step.at("pattern").string_or("String", "") != " " || step.at("content").string() != text::visible_space)
                step.mismatch("a normalizer that makes spaces visible");
        } else if (is_byte_level || type != "Prepend") {
            step.at("type").mismatch(concat("a normalizer known for this kind of model instead of ", type));
        }
        return false;
    });
    return form;
}

// A merge as its two parts: "left right" or ["left", "right"].
inline std::pair<std::string, std::string> merge_parts(const json_value& merges, std::size_t index) {
    const json& merge = merges.get()[index];
    if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string())
        return {merge[0].get<std::string>(), merge[1].get<std::string>()};
    if (merge.is_string()) {
        const auto& line = merge.get_ref<const std::string&>();
        if (const std::size_t space = line.find(' ', 1); space != std::string::npos)
            return {line.substr(0, space), line.substr(space + 1)};
    }
    merges.element(index).mismatch("two strings, or one with a space between its parts");
}

inline void score_by_merges(const json_value& merges, vocabulary_draft& draft) {
    std::unordered_map<std::string_view, std::size_t> ids;
    for (std::size_t i = 0; i < draft.tokens.size(); ++i) ids.emplace(draft.tokens[i], i);
    draft.scores = text::merge_scores(draft.tokens.size(), merges.get().size(), [&](std::size_t rank) {
        const auto [left, right] = merge_parts(merges, rank);
        const auto made = ids.find(left + right);
        if (made == ids.end())
            merges.element(rank).mismatch(concat("a merge that makes a token instead of ", left, right));
        return made->second;
    });
}

inline bool is_byte_text(std::string_view text) {
    const auto is_digit = [](char c) { return std::string_view("0123456789ABCDEF").find(c) != std::string_view::npos; };
    return text.size() == 6 && text.starts_with("<0x") && text[5] == '>' && is_digit(text[3]) && is_digit(text[4]);
}

}  // namespace detail

/// The "added_tokens" of a tokenizer.json.
[[nodiscard]] inline std::vector<added_token> added_tokens(const json_value& root) {
    std::vector<added_token> added;
    if (const auto list = root.find("added_tokens"))
        list->for_each([&](const json_value& token) {
            added.push_back({.id = token.at("id").id(),
                             .text = token.at("content").string(),
                             .is_special = token.boolean_or("special", false)});
        });
    return added;
}

/// Reads the vocabulary of a tokenizer.json, without its added tokens, into one of `vocab_size` tokens (0: up to the
/// highest id). A model that falls back to bytes becomes "llama", a byte-level one "gpt2". Throws when the file is
/// malformed, its model is neither of these, or an id is beyond the vocabulary or taken twice.
[[nodiscard]] inline vocabulary_draft read_tokenizer_json(const json_value& root, std::uint64_t vocab_size) {
    const json_value model = root.at("model");
    if (const std::string type = model.string_or("type", "BPE"); type != "BPE")
        model.at("type").mismatch("BPE instead of " + type);
    const json_value vocab = model.at("vocab");
    if (!vocab.get().is_object()) vocab.mismatch("an object");
    const json_value merges = model.at("merges");
    if (!merges.get().is_array()) merges.mismatch("an array");

    std::vector<std::pair<std::size_t, const std::string*>> entries;
    entries.reserve(vocab.get().size());
    std::size_t size = static_cast<std::size_t>(vocab_size);
    for (auto entry = vocab.get().begin(); entry != vocab.get().end(); ++entry) {
        const auto id = as_id(entry.value());
        if (!id) vocab.at(entry.key()).mismatch(concat("a token id below ", max_vocabulary_size));
        entries.emplace_back(*id, &entry.key());
    }
    if (size == 0) {
        const std::vector<added_token> added = added_tokens(root);
        for (const auto& [id, text] : entries) size = std::max(size, id + 1);
        for (const added_token& token : added) size = std::max(size, token.id + 1);
        // Gaps are filled with tokens that stand for nothing: a few bytes must not ask for millions of them.
        constexpr std::size_t largest_gaps = 4096;
        if (size > 2 * (entries.size() + added.size()) + largest_gaps)
            fail(vocab.where(), ": wanted ids without large gaps for ", entries.size() + added.size(), " tokens, got ",
                 size - 1);
    }

    const bool is_byte_level = detail::is_byte_level(root);
    const text::normalization form = detail::normal_form(root, is_byte_level);
    if (!is_byte_level && !model.boolean_or("byte_fallback", false))
        model.mismatch("a model on bytes (a ByteLevel pre-tokenizer, or byte_fallback)");
    vocabulary_draft draft;
    draft.reset(size, 0.0f);
    for (const auto& [id, text] : entries) {
        if (id >= size)
            fail(vocab.where(), ": wanted ids below the vocabulary's size ", size, ", got ", id, " for ", *text);
        if (draft.types[id] != text::token_type::unused)
            fail(vocab.where(), ": wanted one token an id, got ", draft.tokens[id], " and ", *text, " for ", id);
        draft.tokens[id] = *text;
        draft.types[id] =
            !is_byte_level && detail::is_byte_text(*text) ? text::token_type::byte : text::token_type::normal;
    }
    if (is_byte_level) {
        draft.model = "gpt2";
        draft.pre = pre_tokenizer_name(root.at("pre_tokenizer"), model, root.find("post_processor"), form);
        draft.scores.clear();
        draft.merges.reserve(merges.get().size());
        for (std::size_t rank = 0; rank < merges.get().size(); ++rank) {
            const auto [left, right] = detail::merge_parts(merges, rank);
            draft.merges.push_back(replaced(left, " ", "Ġ") + ' ' + replaced(right, " ", "Ġ"));
        }
    } else {
        draft.model = "llama";
        if (!detail::prepends_space(root)) draft.adds_space_prefix = false;
        detail::score_by_merges(merges, draft);
    }
    return draft;
}

}  // namespace tessera::huggingface
