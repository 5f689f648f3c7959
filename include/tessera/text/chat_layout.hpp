// The form in which a template takes what the layout of messages leaves open.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

#include "tessera/core/error.hpp"
#include "tessera/json/parse.hpp"

namespace tessera::text {

/// What a template wants. Values say how messages are brought into form before it sees them.
struct chat_layout {
    enum class content { as_given, text, parts } contents = content::as_given;
    enum class empty { as_given, text } missing = empty::as_given;  ///< content of messages that only call tools
    enum class arguments { as_given, object, text } calls = arguments::object;
};

namespace detail {

inline nlohmann::ordered_json text_part(const std::string& text) {
    nlohmann::ordered_json part;
    part["type"] = "text";
    part["text"] = text;
    return nlohmann::ordered_json::array({std::move(part)});
}

// Parts one after another, a line each.
inline std::string joined_parts(const nlohmann::ordered_json& parts) {
    std::string text;
    for (const auto& part : parts) {
        const std::string kind = part.is_object() ? part.value("type", "") : std::string();
        if (kind != "text" || !part.contains("text") || !part["text"].is_string())
            fail("messages: wanted parts of text, which are all this template takes, got ",
                 kind.empty() ? "another" : kind);
        if (!text.empty()) text += '\n';
        text += part["text"].get_ref<const std::string&>();
    }
    return text;
}

inline void adapt_arguments(nlohmann::ordered_json& arguments, chat_layout::arguments wanted) {
    if (wanted == chat_layout::arguments::text && !arguments.is_string()) {
        arguments = arguments.dump();
    } else if (wanted == chat_layout::arguments::object && arguments.is_string()) {
        auto parsed = find_json(arguments.get_ref<const std::string&>());
        if (parsed && parsed->is_object()) arguments = std::move(*parsed);
    }
}

}  // namespace detail

/// The tools of the conversations that templates are tried with.
[[nodiscard]] inline nlohmann::ordered_json probe_tools() {
    return nlohmann::ordered_json::parse(R"([{"type": "function", "function": {
        "name": "look_up", "description": "Looks something up.",
        "parameters": {"type": "object", "properties": {"query": {"type": "string", "description": "What."}}, "required": ["query"]}
    }}])");
}

/// Finds the layout that a template takes. `render(messages)` gives the template's text for messages or throws. A form
/// counts as taken when the text shows what was put in, and shows it as text and not as a printed list.
template <class Render>
[[nodiscard]] chat_layout find_chat_layout(Render&& render) {
    using json = nlohmann::ordered_json;
    constexpr std::string_view needle = "n7k2q";
    const auto shows = [&](const json& messages, auto&& is_fine) {
        try {
            const std::string text = render(messages);
            return text.find(needle) != std::string::npos && is_fine(text);
        } catch (const error&) {
            return false;
        }
    };
    const auto always = [](const std::string&) { return true; };
    const auto user = [](json content) {
        json message;
        message["role"] = "user";
        message["content"] = std::move(content);
        return message;
    };
    const json question = user("Look it up.");
    chat_layout layout;

    const bool takes_text = shows(json::array({user(std::string(needle))}), always);
    const bool takes_parts =
        shows(json::array({user(detail::text_part(std::string(needle)))}), [](const std::string& text) {
            return text.find("'type'") == std::string::npos && text.find("\"type\": \"text\"") == std::string::npos;
        });
    if (takes_text != takes_parts)
        layout.contents = takes_text ? chat_layout::content::text : chat_layout::content::parts;

    const auto with_call = [&](json content, json arguments) {
        json message = json::parse(R"({"role": "assistant", "tool_calls":
            [{"id": "call12345", "type": "function", "function": {"name": "look_up"}}]})");
        message["content"] = std::move(content);
        message["tool_calls"][0]["function"]["arguments"] = std::move(arguments);
        return json::array({question, message});
    };
    json object;
    object["query"] = needle;
    const auto not_quoted_twice = [](const std::string& text) { return text.find("\\\"query") == std::string::npos; };
    const auto not_python = [](const std::string& text) { return text.find("{'query'") == std::string::npos; };
    if (!shows(with_call("", object), not_python) && shows(with_call("", object.dump()), not_quoted_twice))
        layout.calls = chat_layout::arguments::text;

    const json arguments = layout.calls == chat_layout::arguments::text ? json(object.dump()) : object;
    const auto without_none = [](const std::string& text) { return text.find("None") == std::string::npos; };
    if (!shows(with_call(nullptr, arguments), without_none) && shows(with_call("", arguments), without_none))
        layout.missing = chat_layout::empty::text;
    return layout;
}

/// Brings a message into a layout. Throws for parts that are no text where the template takes text only.
inline void adapt(nlohmann::ordered_json& message, const chat_layout& layout) {
    if (!message.is_object()) fail("messages: wanted objects, got ", message.type_name());
    nlohmann::ordered_json& content = message["content"];  // null where there was none
    if (content.is_array() && layout.contents == chat_layout::content::text) content = detail::joined_parts(content);
    if (content.is_string() && layout.contents == chat_layout::content::parts)
        content = detail::text_part(content.get<std::string>());
    if (content.is_null() && layout.missing == chat_layout::empty::text) content = "";
    const auto calls = message.find("tool_calls");
    if (calls == message.end() || !calls->is_array()) return;
    for (auto& call : *calls)
        if (call.is_object() && call.contains("function") && call["function"].is_object() &&
            call["function"].contains("arguments"))
            detail::adapt_arguments(call["function"]["arguments"], layout.calls);
}

}  // namespace tessera::text
