// Conversations as the model sees them: rendered with the model's own template.
#pragma once

#include <ctime>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "tessera/core/error.hpp"
#include "tessera/core/metadata.hpp"
#include "tessera/jinja/from_json.hpp"
#include "tessera/jinja/limits.hpp"
#include "tessera/jinja/text_template.hpp"
#include "tessera/text/chat_layout.hpp"

namespace tessera::text {

/// Messages in the layout of OpenAI's API: objects with `role`, `content` (a string, a list of parts, or null),
/// `tool_calls`, `tool_call_id`; `tools` is a list of functions, or null.
struct conversation {
    nlohmann::ordered_json messages;
    nlohmann::ordered_json tools = nullptr;
};

/// Midnight of 1 January 2025, a Wednesday: a date for templates that print one, so that texts do not depend on the
/// day.
[[nodiscard]] inline std::tm usual_date() {
    std::tm date{};
    date.tm_year = 125;
    date.tm_mday = 1;
    date.tm_wday = 3;
    return date;
}

struct chat_options {
    bool add_generation_prompt = false;  ///< end with what makes the model answer
    nlohmann::ordered_json variables =
        nlohmann::ordered_json::object();  ///< more for the template: enable_thinking, ...
    std::tm now = usual_date();            ///< the time that templates with a date print
    jinja::limits bounds{};
};

/// Texts that templates know by name.
struct chat_tokens {
    std::optional<std::string> bos{};
    std::optional<std::string> eos{};
};

/// One chat template with the tokens it mentions. Templates get what transformers hands them: messages, tools,
/// documents (both null when there are none), add_generation_prompt, bos_token and eos_token. Where OpenAI's layout
/// leaves a choice (content as text or as parts, arguments of calls as text or as an object, null or no content),
/// messages are brought into the form that the template takes; that is found out by trying.
class chat_template {
public:
    /// Throws when the source does not parse; `name` begins messages.
    chat_template(std::string_view source, std::string name, chat_tokens tokens)
        : template_(source, std::move(name)), tokens_(std::move(tokens)) {
        layout_ = find_chat_layout([&](const nlohmann::ordered_json& messages) {
            return jinja::render(template_, variables_for({messages, probe_tools()}, {}),
                                 {.bounds = {.steps = 1 << 23}});
        });
    }

    /// The text of a conversation, without further special tokens: tokenize it with add_special off and parse_special
    /// on. Throws when the template refuses the conversation or fails on it.
    [[nodiscard]] std::string render(const conversation& talk, const chat_options& options = {}) const {
        if (!talk.messages.is_array() || talk.messages.empty())
            fail(template_.source().name(), ": wanted a list of messages, got ",
                 talk.messages.is_array() ? "an empty one" : talk.messages.type_name());
        conversation adapted{talk.messages, talk.tools};
        for (auto& message : adapted.messages) adapt(message, layout_);
        return jinja::render(template_, variables_for(adapted, options),
                             {.now = options.now, .bounds = options.bounds});
    }

    [[nodiscard]] const jinja::text_template& compiled() const noexcept { return template_; }
    [[nodiscard]] const chat_layout& layout() const noexcept { return layout_; }

private:
    [[nodiscard]] nlohmann::ordered_json variables_for(const conversation& talk, const chat_options& options) const {
        nlohmann::ordered_json variables;
        variables["messages"] = talk.messages;
        variables["tools"] = talk.tools;
        variables["documents"] = nullptr;
        variables["add_generation_prompt"] = options.add_generation_prompt;
        if (tokens_.bos) variables["bos_token"] = *tokens_.bos;
        if (tokens_.eos) variables["eos_token"] = *tokens_.eos;
        variables.update(options.variables);
        return variables;
    }

    jinja::text_template template_;
    chat_tokens tokens_;
    chat_layout layout_;
};

/// The key under which a model has its chat template; named ones have "." and the name after it.
inline constexpr std::string_view chat_template_key = "tokenizer.chat_template";

/// The texts of a vocabulary's begin- and end-of-text tokens.
[[nodiscard]] inline chat_tokens chat_tokens_of(const metadata& keys) {
    const auto* pieces = keys.get<std::vector<std::string>>("tokenizer.ggml.tokens");
    const auto text = [&](std::string_view key) -> std::optional<std::string> {
        const auto id = keys.get_count(key);
        if (pieces == nullptr || !id || *id >= pieces->size()) return std::nullopt;
        return (*pieces)[*id];
    };
    return {text("tokenizer.ggml.bos_token_id"), text("tokenizer.ggml.eos_token_id")};
}

/// A model's templates: the default one, and for conversations with tools the one named tool_use where there is one.
class chat_templates {
public:
    /// Throws when the model has no template, or one that does not parse.
    explicit chat_templates(const metadata& keys)
        : default_(keys.require<std::string>(chat_template_key), std::string(chat_template_key), chat_tokens_of(keys)) {
        const std::string key = std::string(chat_template_key) + ".tool_use";
        if (const auto* source = keys.get<std::string>(key)) for_tools_.emplace(*source, key, chat_tokens_of(keys));
    }

    /// Base models have none.
    [[nodiscard]] static bool are_in(const metadata& keys) { return keys.contains(chat_template_key); }

    [[nodiscard]] std::string render(const conversation& talk, const chat_options& options = {}) const {
        const bool has_tools = talk.tools.is_array() && !talk.tools.empty();
        return (has_tools && for_tools_ ? *for_tools_ : default_).render(talk, options);
    }

private:
    chat_template default_;
    std::optional<chat_template> for_tools_;
};

}  // namespace tessera::text
