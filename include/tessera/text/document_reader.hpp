// Files of text and of conversations to documents of tokens, each in the way that suits the model.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/core/metadata.hpp"
#include "tessera/text/chat.hpp"
#include "tessera/text/conversations.hpp"
#include "tessera/text/documents.hpp"
#include "tessera/text/token.hpp"
#include "tessera/text/tokenizer.hpp"
#include "tessera/text/workspace.hpp"

namespace tessera::text {

struct reading_options {
    std::string separator{};     ///< between documents of a plain text; empty: a file is a document
    bool parse_special = false;  ///< recognise control tokens spelled out in plain text
};

/// Reads documents for one model. Plain text is taken as it is. Conversations are rendered with the model's chat template,
/// as if it was always the same day; where the model has none (a base model), what they say is taken as plain text.
class document_reader {
public:
    /// What has been read so far.
    struct report {
        std::size_t texts = 0;          ///< documents of plain text
        std::size_t conversations = 0;
        std::size_t refused = 0;        ///< conversations that the template raised an exception on, which are left out
        std::string first_refusal{};    ///< with file and line
    };

    /// Throws when the metadata hold no vocabulary. They must stay.
    explicit document_reader(const metadata& keys, reading_options options = {})
        : keys_(&keys), options_(std::move(options)), tokenizer_(keys) {}

    /// The documents of a file's text; `file` is its name. Throws, naming the line, when a file of conversations holds
    /// something else, the template fails on one or refuses all of them, and when the template does not parse.
    [[nodiscard]] std::vector<std::vector<token_id>> read(std::string_view text, const std::string& file) {
        return holds_conversations(text, file) ? read_conversations(text, file) : read_text(text);
    }

    [[nodiscard]] bool has_template() const { return chat_templates::are_in(*keys_); }
    [[nodiscard]] const report& so_far() const noexcept { return report_; }

private:
    std::vector<token_id> encode(std::string_view text, encode_options options) {
        std::vector<token_id> tokens;
        tokenizer_.encode(text, work_, tokens, options);
        return tokens;
    }

    std::vector<std::vector<token_id>> read_text(std::string_view text) {
        std::vector<std::vector<token_id>> documents;
        for (const std::string_view document : split_documents(text, options_.separator))
            documents.push_back(encode(document, {.parse_special = options_.parse_special}));
        report_.texts += documents.size();
        return documents;
    }

    std::vector<std::vector<token_id>> read_conversations(std::string_view text, const std::string& file) {
        if (has_template() && !templates_) templates_.emplace(*keys_);
        std::vector<std::vector<token_id>> documents;
        std::size_t refused = 0;
        for_each_conversation(text, file, [&](const conversation& talk, const std::string& where) {
            try {
                if (templates_)  // spells out its special tokens itself
                    documents.push_back(encode(templates_->render(talk), {.add_special = false, .parse_special = true}));
                else
                    documents.push_back(encode(plain_text(talk), {.parse_special = options_.parse_special}));
            } catch (const jinja::raised_error& refusal) {
                if (refused++ + report_.refused == 0) report_.first_refusal = concat(where, ": ", refusal.message());
            } catch (const error& problem) {
                fail(where, ": ", problem.what());
            }
        });
        report_.conversations += documents.size();
        report_.refused += refused;
        if (documents.empty() && refused > 0)
            fail(file, ": wanted conversations that the chat template takes, got ", refused, " that it refuses: ",
                 report_.first_refusal);
        return documents;
    }

    const metadata* keys_;
    reading_options options_;
    tokenizer tokenizer_;
    std::optional<chat_templates> templates_;
    workspace work_;
    report report_;
};

}  // namespace tessera::text
