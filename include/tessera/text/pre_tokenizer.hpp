// Cuts text into the pieces inside which a byte-level vocabulary merges.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "tessera/core/utf8.hpp"
#include "tessera/text/automaton.hpp"
#include "tessera/text/digit_groups.hpp"

namespace tessera::text {

/// The automaton of a pattern. Making one takes some hundredths of a second, so all who use the same pattern at a time
/// share it, from any thread. Throws when the pattern is malformed.
[[nodiscard]] inline std::shared_ptr<const automaton> shared_automaton(std::string_view pattern) {
    static std::mutex guard;
    static std::map<std::string, std::weak_ptr<const automaton>, std::less<>> known;
    const std::lock_guard lock(guard);
    std::weak_ptr<const automaton>& place = known[std::string(pattern)];
    std::shared_ptr<const automaton> made = place.lock();
    if (made == nullptr) place = made = std::make_shared<const automaton>(pattern);
    return made;
}

/// A list of patterns that cuts text into pieces: each is applied inside every piece of the one before, and matches as
/// well as the gaps between them become pieces. Look-ahead does not see beyond a piece. May be used from several
/// threads at once.
class pre_tokenizer {
public:
    /// The patterns must stay. Nothing is made of them before there is text to split.
    explicit pre_tokenizer(std::span<const std::string_view> patterns)
        : patterns_(patterns), made_(std::make_unique<made_once>()) {}

    /// Calls emit(piece) for every piece from left to right; together they are `text`, which must be valid UTF-8.
    /// Throws when a pattern is malformed.
    template <class Emit>
    void split(std::string_view text, const Emit& emit) const {
        if (text.empty()) return;
        std::call_once(made_->flag, [&] {
            std::vector<cut> cuts;
            for (const std::string_view pattern : patterns_)
                if (auto groups = digit_groups::instead_of(pattern))
                    cuts.emplace_back(*std::move(groups));
                else
                    cuts.emplace_back(shared_automaton(pattern));
            made_->cuts = std::move(cuts);
        });
        split(text, std::span<const cut>(made_->cuts), emit);
    }

private:
    using cut = std::variant<std::shared_ptr<const automaton>, digit_groups>;
    struct made_once {
        std::once_flag flag;
        std::vector<cut> cuts;
    };

    template <class Emit>
    static void split(std::string_view text, std::span<const cut> cuts, const Emit& emit) {
        if (text.empty()) return;
        if (cuts.empty()) return emit(text);
        if (const auto* groups = std::get_if<digit_groups>(&cuts[0]))
            return groups->split(text, [&](std::string_view piece) { split(piece, cuts.subspan(1), emit); });
        const automaton& pattern = *std::get<std::shared_ptr<const automaton>>(cuts[0]);
        std::size_t gap = 0;  // characters in front that belong to no match
        while (gap < text.size()) {
            const std::size_t length = pattern.match(text.substr(gap));
            if (length == 0) {
                gap += utf8_length(text[gap]);
                continue;
            }
            split(text.substr(0, gap), cuts.subspan(1), emit);
            split(text.substr(gap, length), cuts.subspan(1), emit);
            text.remove_prefix(gap + length);
            gap = 0;
        }
        split(text, cuts.subspan(1), emit);
    }

    std::span<const std::string_view> patterns_;
    std::unique_ptr<made_once> made_;
};

}  // namespace tessera::text
