// Merging neighbours in order of rank, as SentencePiece and byte-pair tokenizers do.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "tessera/core/error.hpp"

namespace tessera::text {

/// A stretch of text on its way to become a token.
struct symbol {
    std::uint32_t begin;   ///< in bytes of the text
    std::uint32_t length;  ///< in bytes; 0 once merged into the symbol before
    std::int32_t id;       ///< what it is; the meaning belongs to the model
};

/// What two neighbours make.
struct merge {
    std::int32_t rank;  ///< lower merges first
    std::int32_t id;    ///< of the merged symbol
};

/// Merges symbols until no rule applies: always the pair of lowest rank, the leftmost among equals. Keeps its memory
/// from one call to the next; use one per thread.
class merger {
public:
    /// Bytes that are merged together at most; each takes up to 50 bytes of memory.
    static constexpr std::size_t longest = std::size_t{1} << 26;

    /// Prepares for a text of that many bytes; then come the symbols. Throws when it is too long.
    void begin(std::size_t bytes) {
        if (bytes > longest)
            fail("text: wanted at most ", longest, " bytes without a place where it can be cut, such as a space, got ",
                 bytes);
        symbols_.clear();
        symbols_.reserve(bytes);
        links_.clear();
        first_.clear();
        queue_.clear();
    }

    /// The next symbol of the text, at least one byte long, adjacent to the one before.
    void push(std::size_t begin, std::size_t length, std::int32_t id) {
        symbols_.push_back({static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(length), id});
    }

    /// Runs all merges in O(n log n). find(left, right) -> std::optional<merge> looks a pair up.
    template <class Find>
    void run(const Find& find) {
        const auto count = static_cast<std::uint32_t>(symbols_.size());
        links_.resize(count);
        for (std::uint32_t i = 0; i < count; ++i) links_[i] = {i - 1, i + 1};  // before the first: wraps to `none`
        for (std::uint32_t i = 0; i + 1 < count; ++i)
            if (const std::optional<candidate> pair = look_up(i, i + 1, find)) first_.push_back(*pair);
        std::sort(first_.begin(), first_.end(), std::greater<>());
        const auto consider = [&](std::uint32_t left, std::uint32_t right) {
            if (const std::optional<candidate> pair = look_up(left, right, find)) {
                queue_.push_back(*pair);
                std::push_heap(queue_.begin(), queue_.end());
            }
        };
        for (auto next_first = first_.begin(); next_first != first_.end() || !queue_.empty();) {
            candidate best;
            if (queue_.empty() || (next_first != first_.end() && queue_.front() < *next_first)) {
                best = *next_first++;
            } else {
                std::pop_heap(queue_.begin(), queue_.end());
                best = queue_.back();
                queue_.pop_back();
            }
            symbol& left = symbols_[best.left];
            const std::uint32_t right = links_[best.left].next;
            // Symbols only ever grow, so the length tells whether this is still the pair that was looked up.
            if (left.length == 0 || right >= count || left.length + symbols_[right].length != best.length) continue;
            left.length = best.length;
            left.id = best.id;
            symbols_[right].length = 0;
            const std::uint32_t next = links_[right].next;
            links_[best.left].next = next;
            if (next < count) {
                links_[next].previous = best.left;
                consider(best.left, next);
            }
            if (links_[best.left].previous < count) consider(links_[best.left].previous, best.left);
        }
    }

    /// The symbols in order of text; those of length 0 are gone.
    [[nodiscard]] std::span<const symbol> symbols() const noexcept { return symbols_; }

private:
    struct link {
        std::uint32_t previous;
        std::uint32_t next;
    };
    struct candidate {
        std::int32_t rank;
        std::uint32_t left;
        std::uint32_t length;  // of both together
        std::int32_t id;

        // The greatest is the best: the lowest rank, then the leftmost.
        friend bool operator<(const candidate& a, const candidate& b) noexcept {
            return a.rank != b.rank ? a.rank > b.rank : a.left > b.left;
        }
        friend bool operator>(const candidate& a, const candidate& b) noexcept { return b < a; }
    };

    template <class Find>
    [[nodiscard]] std::optional<candidate> look_up(std::uint32_t left, std::uint32_t right, const Find& find) const {
        const symbol& a = symbols_[left];
        const symbol& b = symbols_[right];
        const std::optional<merge> found = find(a, b);
        if (!found) return std::nullopt;
        return candidate{found->rank, left, a.length + b.length, found->id};
    }

    std::vector<symbol> symbols_;
    std::vector<link> links_;
    std::vector<candidate>
        first_;  // of the text as it came, the best first: sorting is cheaper than a heap of them all
    std::vector<candidate> queue_;  // those that merging brought about: a heap
};

}  // namespace tessera::text
