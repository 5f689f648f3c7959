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
#include "tessera/core/utf8.hpp"
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
    chat_options rendering{
        .bounds = {.output_bytes = std::size_t{1} << 24}};  ///< of conversations: some million tokens at most
};

/// Reads documents for one model. Plain text is taken as it is. Conversations are rendered with the model's chat
/// template, as if it was always the same day; where the model has none (a base model), what they say is taken as plain
/// text.
class document_reader {
public:
    /// What has been read so far. Of what is left out, the first is shown with file and line.
    struct report {
        std::size_t texts = 0;  ///< documents of plain text
        std::size_t conversations = 0;
        std::size_t refused = 0;  ///< conversations left out that the template raises an exception on
        std::string first_refusal{};
        std::size_t failed = 0;  ///< conversations left out that the template fails on
        std::string first_failure{};
        std::size_t malformed = 0;  ///< lines of files of conversations left out that are none
        std::string first_malformed{};
        std::size_t replaced = 0;  ///< halves of surrogate pairs that became U+FFFD

        /// What was left out and what was replaced, kind by kind, to stand after "N conversations in the model's chat
        /// template"; empty when nothing was.
        [[nodiscard]] std::string losses() const {
            std::string text;
            const auto add = [&](std::size_t count, std::string_view what, const std::string& first) {
                if (count == 0) return;
                text += concat(text.empty() ? "" : ", ", count, " ", what);
                if (!first.empty()) text += concat(" (", first, ")");
            };
            add(refused, "left out that it refuses", first_refusal);
            add(failed, "left out that it fails on", first_failure);
            add(malformed,
                malformed == 1 ? "line left out that is no conversation" : "lines left out that are no conversations",
                first_malformed);
            add(replaced,
                replaced == 1 ? "half a surrogate pair replaced by U+FFFD"
                              : "halves of surrogate pairs replaced by U+FFFD",
                {});
            return text;
        }
    };

    /// Throws when the metadata hold no vocabulary. They must stay.
    explicit document_reader(const metadata& keys, reading_options options = {})
        : keys_(&keys), options_(std::move(options)), tokenizer_(keys) {}

    /// The documents of a file's text; `file` is its name. A line that is no conversation, and a conversation that the
    /// template refuses or fails on, is left out and counted. Throws when none is left in a file, when the template
    /// does not parse, and when a rendering goes beyond its limits.
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

    std::vector<token_id> encode(const conversation& talk) {
        if (!templates_) return encode(plain_text(talk), {.parse_special = options_.parse_special});
        // The template spells out special tokens itself.
        return encode(templates_->render(talk, options_.rendering), {.add_special = false, .parse_special = true});
    }

    std::vector<std::vector<token_id>> read_conversations(std::string_view text, const std::string& file) {
        if (has_template() && !templates_) templates_.emplace(*keys_);
        std::vector<std::vector<token_id>> documents;
        report here;
        const auto leave_out = [](std::size_t& count, std::string& first, const std::string& where,
                                  std::string_view why) {
            constexpr std::size_t longest = 300;  // what a template or a line says comes from strangers
            if (count++ == 0) first = concat(where, ": ", why.substr(0, valid_utf8_prefix(why.substr(0, longest))));
        };
        const auto visit = [&](const conversation& talk, const std::string& where, std::size_t replaced) {
            try {
                documents.push_back(encode(talk));
                here.replaced += replaced;
            } catch (const jinja::raised_error& refusal) {
                leave_out(here.refused, here.first_refusal, where, refusal.message());
            } catch (const jinja::limit_error& problem) {
                fail(where, ": ", problem.what());
            } catch (const error& problem) {
                leave_out(here.failed, here.first_failure, where, problem.what());
            }
        };
        for_each_conversation(text, file, visit, [&](const std::string& where, const std::string& why) {
            leave_out(here.malformed, here.first_malformed, where, why);
        });
        if (documents.empty() && here.refused + here.failed + here.malformed > 0)
            fail(file, ": wanted conversations", templates_ ? " that the chat template takes" : "",
                 ", got none: ", here.losses());
        report_.conversations += documents.size();
        report_.replaced += here.replaced;
        join(report_.refused, report_.first_refusal, here.refused, here.first_refusal);
        join(report_.failed, report_.first_failure, here.failed, here.first_failure);
        join(report_.malformed, report_.first_malformed, here.malformed, here.first_malformed);
        return documents;
    }

    static void join(std::size_t& count, std::string& first, std::size_t more, std::string& next) {
        if (count == 0) first = std::move(next);
        count += more;
    }

    const metadata* keys_;
    reading_options options_;
    tokenizer tokenizer_;
    std::optional<chat_templates> templates_;
    workspace work_;
    report report_;
};

}  // namespace tessera::text
