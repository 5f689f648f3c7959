// What the files of a model directory say about its tokens, held against each other.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <unordered_map>

#include "tessera/core/error.hpp"
#include "tessera/core/replaced.hpp"
#include "tessera/text/byte_map.hpp"
#include "tessera/text/token.hpp"

namespace tessera::huggingface {

/// Whether a trained vocabulary keeps a token for later, so that one that is added may take its place.
[[nodiscard]] inline bool stands_for_nothing(std::string_view text) {
    static constexpr std::array<std::string_view, 7> marks{"unused", "reserved", "extra_id", "placeholder",
                                                           "[pad",   "control_", "dummy"};
    std::string small(text);
    for (char& c : small) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    return std::any_of(marks.begin(), marks.end(),
                       [&](std::string_view mark) { return small.find(mark) != std::string::npos; });
}

/// The texts and ids of tokens, each with the file that says so. Files refer to their name, which must stay.
class token_claims {
public:
    /// `file` has `text` as the token `id`. Throws, naming both files, when another has another text there, or this
    /// text as another token.
    void add(std::size_t id, const std::string& text, std::string_view file) {
        const auto [place, is_new] = by_id_.try_emplace(id, claim{text, file});
        if (!is_new && !is_alike(place->second.text, text)) {
            if (!stands_for_nothing(place->second.text))
                fail(file, ": wanted token ", id, " to be ", place->second.text, " as in ", place->second.file,
                     ", got ", text);
            place->second = {text, file};
        }
        const auto [known, is_first] = by_text_.try_emplace(text, id, file);
        if (!is_first && known->second.id != id && known->second.file != file)
            fail(file, ": wanted ", text, " to be token ", known->second.id, " as in ", known->second.file, ", got ",
                 id);
    }

    [[nodiscard]] bool has(const std::string& text) const { return by_text_.contains(text); }

private:
    struct claim {
        std::string text;
        std::string_view file;
    };
    struct place {
        place(std::size_t i, std::string_view f) : id(i), file(f) {}
        std::size_t id;
        std::string_view file;
    };

    // Added tokens are stored as plain text, vocabularies with their bytes spelled or their spaces made visible.
    static bool is_alike(const std::string& a, const std::string& b) {
        const auto plain = [](const std::string& text) {
            std::string out;
            text::append_unspelled(out, text);
            return out;
        };
        const auto spaced = [](const std::string& text) { return replaced(text, text::visible_space, " "); };
        return a == b || plain(a) == b || a == plain(b) || spaced(a) == spaced(b);
    }

    std::unordered_map<std::size_t, claim> by_id_;
    std::unordered_map<std::string, place> by_text_;
};

}  // namespace tessera::huggingface
