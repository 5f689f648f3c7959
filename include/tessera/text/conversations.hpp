// Files of conversations, one in a line, as documents.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "tessera/core/error.hpp"
#include "tessera/text/chat.hpp"
#include "tessera/text/token.hpp"
#include "tessera/text/tokenizer.hpp"

namespace tessera::text {

/// Calls visit(conversation, where) for every line of JSONL: {"messages": [...], "tools": [...]}, or the messages alone.
/// `where` names file and line. Empty lines are left out. Throws tessera::error that names the line.
template <class Visit>
void for_each_conversation(std::string_view text, const std::string& file, Visit&& visit) {
    for (std::size_t line = 1; !text.empty(); ++line) {
        const std::string_view one = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(one.size() + 1, text.size()));
        if (one.find_first_not_of(" \t\r") == std::string_view::npos) continue;
        const std::string where = concat(file, ": line ", line);
        auto parsed = nlohmann::ordered_json::parse(one.begin(), one.end(), nullptr, false);
        if (parsed.is_discarded()) fail(where, ": wanted JSON, got ", one.substr(0, 60));
        conversation talk;
        if (parsed.is_object()) {
            if (parsed.contains("tools")) talk.tools = std::move(parsed["tools"]);
            parsed = parsed.contains("messages") ? nlohmann::ordered_json(std::move(parsed["messages"])) : nullptr;
        }
        if (!parsed.is_array()) fail(where, ": wanted an object with messages, or a list of them, got ", one.substr(0, 60));
        talk.messages = std::move(parsed);
        visit(std::move(talk), where);
    }
}

/// Every conversation of a file as the text of one document. Throws where for_each_conversation does, and naming the
/// line when the template fails on a conversation.
[[nodiscard]] inline std::vector<std::string> render_conversations(std::string_view text, const std::string& file,
                                                                   const chat_templates& templates,
                                                                   const chat_options& options = {}) {
    std::vector<std::string> documents;
    for_each_conversation(text, file, [&](const conversation& talk, const std::string& where) {
        try {
            documents.push_back(templates.render(talk, options));
        } catch (const error& problem) {
            fail(where, ": ", problem.what());
        }
    });
    return documents;
}

/// As render_conversations, in tokens: special tokens that the template spells out are recognised, none are added.
[[nodiscard]] inline std::vector<std::vector<token_id>> encode_conversations(std::string_view text, const std::string& file,
                                                                             const chat_templates& templates,
                                                                             const tokenizer& tokenizer,
                                                                             const chat_options& options = {}) {
    std::vector<std::vector<token_id>> documents;
    for (const std::string& document : render_conversations(text, file, templates, options))
        documents.push_back(tokenizer.encode(document, {.add_special = false, .parse_special = true}));
    return documents;
}

}  // namespace tessera::text
