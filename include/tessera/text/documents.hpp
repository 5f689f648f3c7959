// Documents: what belongs together in a text.
#pragma once

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/core/text_search.hpp"
#include "tessera/text/token.hpp"

namespace tessera::text {

/// The parts of a text between separators, such as "<|endoftext|>"; those of nothing but white space are left out. The
/// whole text when the separator is empty.
[[nodiscard]] inline std::vector<std::string_view> split_documents(std::string_view text, std::string_view separator) {
    std::vector<std::string_view> documents;
    const auto add = [&](std::string_view document) {
        if (document.find_first_not_of(" \t\r\n") != document.npos) documents.push_back(document);
    };
    const text_search search(separator);
    for (std::size_t end; !separator.empty() && (end = search(text)) != text.npos;) {
        add(text.substr(0, end));
        text.remove_prefix(end + separator.size());
    }
    add(text);
    return documents;
}

/// Documents that are token ids already: decimal numbers between blanks, one document per line. `where` starts
/// messages. Throws at what is no id below `vocabulary`.
[[nodiscard]] inline std::vector<std::vector<token_id>> parse_token_ids(std::string_view text, std::size_t vocabulary,
                                                                        const std::string& where) {
    std::vector<std::vector<token_id>> documents;
    for (std::size_t line = 1; !text.empty(); ++line) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        std::string_view rest = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        std::vector<token_id> document;
        const auto skip_blanks = [&] { rest.remove_prefix(std::min(rest.find_first_not_of(" \t\r"), rest.size())); };
        for (skip_blanks(); !rest.empty(); skip_blanks()) {
            const std::string_view word = rest.substr(0, rest.find_first_of(" \t\r"));
            token_id id = -1;
            const auto [last, problem] = std::from_chars(word.data(), word.data() + word.size(), id);
            if (problem != std::errc() || last != word.data() + word.size() || id < 0 ||
                static_cast<std::size_t>(id) >= vocabulary)
                fail(where, ": line ", line, ": wanted a token id below ", vocabulary, ", got ", word.substr(0, 40));
            document.push_back(id);
            rest.remove_prefix(word.size());
        }
        if (!document.empty()) documents.push_back(std::move(document));
    }
    return documents;
}

}  // namespace tessera::text
