// The tokens with a meaning, and which of them frame a text.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tessera/core/metadata.hpp"
#include "tessera/huggingface/vocabulary/draft.hpp"
#include "tessera/huggingface/vocabulary/json.hpp"
#include "tessera/text/token.hpp"

namespace tessera::huggingface {

namespace detail {

// A token in a configuration: its text, or an object that holds it.
inline std::optional<std::string> token_text(const std::optional<json_value>& token) {
    if (!token) return std::nullopt;
    return token->get().is_object() ? token->at("content").string() : token->string();
}

// What the post-processor puts around a text.
struct text_frame {
    std::optional<std::string> first;
    std::optional<std::string> last;
    bool is_roberta = false;  // begin and end, by definition
};

inline void read_frame(const json_value& processor, text_frame& frame) {
    if (const auto steps = processor.find("processors")) {
        steps->for_each([&](const json_value& step) { read_frame(step, frame); });
        return;
    }
    const std::string type = processor.string_or("type", "");
    if (type == "RobertaProcessing") frame.is_roberta = true;
    if (type != "TemplateProcessing") return;
    const json_value parts = processor.at("single");
    std::vector<std::optional<std::string>> specials;  // the text of each part that is a special token
    parts.for_each([&](const json_value& part) {
        const auto special = part.find("SpecialToken");
        specials.push_back(special ? std::optional(special->at("id").string()) : std::nullopt);
    });
    if (specials.size() < 2) return;
    frame.first = specials.front();
    frame.last = specials.back();
}

}  // namespace detail

/// Adds `tokenizer.ggml.*_token_id` and `add_*_token` for a finished vocabulary. The tokens come from
/// tokenizer_config.json by their text, else from config.json by their number; the flags from what the
/// post-processor of tokenizer.json does, unless tokenizer_config.json states them.
inline void add_special_ids(const json_value& tokenizer_config, const json_value& model_config,
                            const json_value& tokenizer_json, const vocabulary_draft& draft, metadata& out) {
    struct role {
        std::string_view name;  // in the configurations
        std::string_view key;   // in GGUF, whose spelling of "separator" is this
    };
    static constexpr role roles[] = {{"bos", "bos"},     {"eos", "eos"}, {"unk", "unknown"}, {"sep", "seperator"},
                                     {"pad", "padding"}, {"cls", "cls"}, {"mask", "mask"}};
    std::unordered_map<std::string_view, std::size_t> specials;
    for (std::size_t i = 0; i < draft.tokens.size(); ++i) {
        const text::token_type type = draft.types[i];
        if (type == text::token_type::control || type == text::token_type::unknown ||
            type == text::token_type::user_defined)
            specials.emplace(draft.tokens[i], i);
    }
    const auto set = [&](std::string_view key, std::size_t id) {
        out.set(concat("tokenizer.ggml.", key, "_token_id"), static_cast<std::uint32_t>(id));
    };

    std::unordered_map<std::string_view, std::string> texts;
    for (const role& r : roles)
        if (const auto text = detail::token_text(tokenizer_config.find(concat(r.name, "_token"))))
            texts[r.name] = *text;
    detail::text_frame frame;
    if (const auto processor = tokenizer_json.find("post_processor")) detail::read_frame(*processor, frame);
    std::optional<bool> adds_bos;
    std::optional<bool> adds_eos;
    if (frame.is_roberta) adds_bos = adds_eos = true;
    if (frame.first) {
        const auto bos = texts.try_emplace("bos", *frame.first).first;
        const auto cls = texts.find("cls");
        adds_bos = *frame.first == bos->second || (cls != texts.end() && *frame.first == cls->second);
    }
    std::optional<std::string> end_of_turn;
    if (frame.last) {
        const auto [eos, is_new] = texts.try_emplace("eos", *frame.last);
        if (eos->second != *frame.last) {  // what the template ends with is the end; the other one stays known
            end_of_turn = eos->second;
            eos->second = *frame.last;
        }
        adds_eos = true;
    }

    for (const role& r : roles) {
        const auto text = texts.find(r.name);
        const auto id = text == texts.end() ? specials.end() : specials.find(text->second);
        if (id != specials.end()) {
            set(r.key, id->second);
            continue;
        }
        const auto number = model_config.find(concat(r.name, "_token_id"));
        if (number && number->get().is_number_unsigned() && number->id() < draft.tokens.size())
            set(r.key, number->id());
    }
    if (end_of_turn)
        if (const auto id = specials.find(*end_of_turn); id != specials.end()) set("eot", id->second);

    if (const auto flag = tokenizer_config.find("add_bos_token")) adds_bos = flag->boolean();
    if (const auto flag = tokenizer_config.find("add_eos_token")) adds_eos = flag->boolean();
    if (adds_bos) out.set("tokenizer.ggml.add_bos_token", *adds_bos);
    if (adds_eos) out.set("tokenizer.ggml.add_eos_token", *adds_eos);
}

}  // namespace tessera::huggingface
