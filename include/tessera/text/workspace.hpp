// What encoding keeps from piece to piece, and from text to text.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

#include "tessera/core/stop.hpp"
#include "tessera/text/merging.hpp"
#include "tessera/text/token.hpp"

namespace tessera::text {

/// Memory for merging, and the tokens of the short pieces met so far: in real text most pieces come again. Stays below
/// some tens of megabytes. For one tokenizer and one thread.
class workspace {
public:
    /// Appends the tokens of a piece to `out`; make(piece, merger, out) finds and appends them the first time.
    template <class Make>
    void append_tokens(std::string_view piece, std::vector<token_id>& out, const Make& make) {
        stop_if_requested();
        if (piece.size() > longest_kept) return make(piece, merger_, out);
        const key wanted = key_of(piece);
        entry& place = entries_[find(wanted)];
        if (place.count == 1) return out.push_back(place.where);
        if (place.count > 1) {
            const token_id* tokens = &tokens_[static_cast<std::size_t>(place.where)];
            out.insert(out.end(), tokens, tokens + place.count);
            return;
        }
        const std::size_t before = out.size();
        make(piece, merger_, out);
        const std::size_t made = out.size() - before;
        if (made == 0) return;
        place = {wanted, static_cast<std::uint32_t>(made),
                 made == 1 ? out.back() : static_cast<std::int32_t>(tokens_.size())};
        if (made > 1) tokens_.insert(tokens_.end(), out.end() - static_cast<std::ptrdiff_t>(made), out.end());
        if (2 * ++count_ > entries_.size()) grow();
    }

private:
    static constexpr std::size_t longest_kept = 23;  // bytes
    static constexpr std::size_t first_entries = 256;
    static constexpr std::size_t most_entries = std::size_t{1} << 19;

    // The bytes of a piece, zeros, and in the last byte its length: what is alike is the same piece.
    using key = std::array<std::uint64_t, 3>;

    // Half a cache line, so that a piece that is one token costs one look at memory.
    struct entry {
        key piece{};
        std::uint32_t count = 0;  // of the tokens; 0: a free place
        std::int32_t where = 0;   // the token if it is one, else where they begin in tokens_
    };

    static key key_of(std::string_view piece) noexcept {
        const char* text = piece.data();
        const std::size_t size = piece.size();
        key out{};
        if (size >= 8) {
            const std::size_t whole = size / 8;
            for (std::size_t i = 0; i < whole; ++i) std::memcpy(&out[i], text + 8 * i, 8);
            if (const std::size_t rest = size % 8; rest > 0) {
                std::memcpy(&out[whole], text + size - 8, 8);
                out[whole] >>= 8 * (8 - rest);
            }
        } else if (size >= 4) {
            std::uint32_t first = 0, last = 0;  // they may overlap
            std::memcpy(&first, text, 4);
            std::memcpy(&last, text + size - 4, 4);
            out[0] = first | std::uint64_t{last} << 8 * (size - 4);
        } else {
            for (std::size_t i = 0; i < size; ++i)
                out[0] |= std::uint64_t{static_cast<unsigned char>(text[i])} << 8 * i;
        }
        out[2] |= std::uint64_t{size} << 56;
        return out;
    }

    // Where the piece is, or would be.
    [[nodiscard]] std::size_t find(const key& piece) const noexcept {
        std::uint64_t mixed = piece[0];
        for (const std::uint64_t part : {piece[1], piece[2]})
            mixed = (mixed ^ mixed >> 29 ^ part) * 0x9e3779b97f4a7c15u;
        for (std::size_t i = static_cast<std::size_t>(mixed ^ mixed >> 32);; ++i) {
            const entry& known = entries_[i &= entries_.size() - 1];
            if (known.count == 0 || known.piece == piece) return i;
        }
    }

    // Twice the places; at the limit all is forgotten and learnt anew.
    void grow() {
        if (entries_.size() == most_entries) {
            entries_.assign(first_entries, {});
            tokens_.clear();
            count_ = 0;
            return;
        }
        std::vector<entry> old(2 * entries_.size());
        old.swap(entries_);
        for (const entry& kept : old)
            if (kept.count > 0) entries_[find(kept.piece)] = kept;
    }

    merger merger_;
    std::vector<entry> entries_ = std::vector<entry>(first_entries);  // open addressing, at most half full
    std::size_t count_ = 0;
    std::vector<token_id> tokens_;
};

}  // namespace tessera::text
