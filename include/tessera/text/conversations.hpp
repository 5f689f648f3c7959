// Files of conversations, one in a line.
#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

#include "tessera/core/error.hpp"
#include "tessera/core/python_json.hpp"
#include "tessera/core/utf8.hpp"
#include "tessera/json/parse.hpp"
#include "tessera/text/chat.hpp"
#include "tessera/text/chat_layout.hpp"

namespace tessera::text {

namespace detail {

// A line of JSON as a conversation: an object with messages and perhaps tools, or the messages alone. Nothing where it
// is none.
inline std::optional<conversation> parse_conversation(std::string_view line) {
    std::optional<nlohmann::ordered_json> parsed = find_json(line);
    if (!parsed) return std::nullopt;
    conversation talk;
    if (parsed->is_object()) {
        if (const auto tools = parsed->find("tools"); tools != parsed->end()) talk.tools = std::move(*tools);
        if (const auto messages = parsed->find("messages"); messages != parsed->end())
            talk.messages = std::move(*messages);
    } else {
        talk.messages = std::move(*parsed);
    }
    const auto has_role = [](const auto& message) { return message.is_object() && message.contains("role"); };
    const bool is_one = talk.messages.is_array() && !talk.messages.empty() &&
                        std::all_of(talk.messages.begin(), talk.messages.end(), has_role);
    return is_one ? std::optional(std::move(talk)) : std::nullopt;
}

}  // namespace detail

/// Whether a file holds conversations: by its name, *.jsonl, or because its first line that is not blank is one.
[[nodiscard]] inline bool holds_conversations(std::string_view text, std::string_view file) {
    if (file.ends_with(".jsonl")) return true;
    text.remove_prefix(std::min(text.find_first_not_of(" \t\r\n"), text.size()));
    return (text.starts_with('{') || text.starts_with('[')) &&
           detail::parse_conversation(text.substr(0, text.find('\n'))).has_value();
}

/// Calls visit(conversation, where, replaced) for every line of JSONL: {"messages": [...], "tools": [...]}, or the
/// messages alone. `where` names file and line; `replaced` counts the halves of surrogate pairs that became U+FFFD.
/// Empty lines are left out; refuse(where, why) is called for those that are no conversations.
template <class Visit, class Refuse>
void for_each_conversation(std::string_view text, const std::string& file, Visit&& visit, Refuse&& refuse) {
    for (std::size_t line = 1; !text.empty(); ++line) {
        const std::string_view one = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(one.size() + 1, text.size()));
        if (one.find_first_not_of(" \t\r") == std::string_view::npos) continue;
        const std::string where = concat(file, ": line ", line);
        std::optional<conversation> talk = detail::parse_conversation(one);
        std::size_t replaced = 0;
        if (!talk) {
            std::string repaired(one);
            replaced = repair_surrogates(repaired);
            if (replaced > 0) talk = detail::parse_conversation(repaired);
        }
        if (talk)
            visit(*talk, where, replaced);
        else
            refuse(where, concat("wanted a conversation, {\"messages\": [{\"role\": ..., \"content\": ...}, ...]} or "
                                 "the list alone, got ",
                                 one.substr(0, valid_utf8_prefix(one.substr(0, 60)))));
    }
}

/// What the messages of a conversation say, a blank line between them: for models that know no chat template.
[[nodiscard]] inline std::string plain_text(const conversation& talk) {
    std::string text;
    for (const auto& message : talk.messages) {
        const auto content = message.find("content");
        if (content == message.end() || content->is_null()) continue;
        if (!content->is_string() && !content->is_array())
            fail("messages: wanted content that is text or a list of parts, got ", content->type_name());
        const std::string said = content->is_array() ? detail::joined_parts(*content) : content->get<std::string>();
        if (!said.empty()) (text += text.empty() ? "" : "\n\n") += said;
    }
    return text;
}

}  // namespace tessera::text
