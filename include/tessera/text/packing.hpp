// Documents of several sources packed into windows of equal length.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <iterator>
#include <limits>
#include <numeric>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/text/shuffle.hpp"
#include "tessera/text/token.hpp"
#include "tessera/text/windows.hpp"

namespace tessera::text {

/// Documents that come from one place. Weights are shares: a source of weight 2 gives twice the tokens of one of
/// weight 1, and as many tokens are taken altogether as these shares allow. Without any weight sources count by their
/// size; where some have one, the others have 1.
struct text_source {
    std::string name;
    std::optional<double> weight{};
    std::vector<std::vector<token_id>> documents{};

    [[nodiscard]] std::size_t tokens() const noexcept {
        std::size_t sum = 0;
        for (const auto& document : documents) sum += document.size();
        return sum;
    }
};

struct packing_options {
    std::size_t length = 512;       ///< tokens in a window
    std::size_t limit = 0;          ///< windows at most; 0 takes all
    std::optional<token_id> bos{};  ///< begins every window and document
    std::uint64_t seed = 1;
};

/// Windows, and how many of their tokens came from each source.
struct packed_windows {
    token_windows windows;
    std::vector<std::size_t> source_tokens;
};

namespace detail {

// A document or a part of one, no longer than a window.
struct chunk {
    std::size_t source;
    std::vector<token_id> tokens;
};

inline std::vector<chunk> cut_into_chunks(std::size_t source, const text_source& from, const packing_options& options) {
    std::vector<chunk> chunks;
    for (const std::vector<token_id>& document : from.documents) {
        std::span<const token_id> rest = document;
        if (options.bos && !rest.empty() && rest.front() == *options.bos) rest = rest.subspan(1);
        while (!rest.empty()) {
            chunk next{source, {}};
            if (options.bos) next.tokens.push_back(*options.bos);
            const std::size_t count = std::min(rest.size(), options.length - next.tokens.size());
            next.tokens.insert(next.tokens.end(), rest.begin(), rest.begin() + static_cast<std::ptrdiff_t>(count));
            rest = rest.subspan(count);
            chunks.push_back(std::move(next));
        }
    }
    return chunks;
}

inline std::size_t total_tokens(std::span<const chunk> chunks) {
    return std::accumulate(chunks.begin(), chunks.end(), std::size_t{0},
                           [](std::size_t sum, const chunk& p) { return sum + p.tokens.size(); });
}

// The most tokens that all sources together can give in these shares.
inline double tokens_in_shares(std::span<const std::vector<chunk>> chunks, std::span<const double> shares,
                               const packing_options& options) {
    double total = options.limit > 0 ? static_cast<double>(options.limit * options.length)
                                     : std::numeric_limits<double>::infinity();
    for (std::size_t s = 0; s < chunks.size(); ++s)
        if (shares[s] > 0) total = std::min(total, static_cast<double>(total_tokens(chunks[s])) / shares[s]);
    return total;
}

// Each source's chunks in a random order, and of them as many as its weight allows.
inline std::vector<chunk> choose_chunks(std::span<const text_source> sources, const packing_options& options) {
    std::vector<std::vector<chunk>> chunks;
    for (std::size_t s = 0; s < sources.size(); ++s) {
        chunks.push_back(cut_into_chunks(s, sources[s], options));
        shuffle(chunks.back(), options.seed + s);
    }
    if (std::ranges::any_of(sources, [](const text_source& s) { return s.weight.has_value(); })) {
        std::vector<double> shares;
        for (const text_source& source : sources) shares.push_back(source.weight.value_or(1.0));
        const double sum = std::accumulate(shares.begin(), shares.end(), 0.0);
        if (!(sum > 0) || !std::isfinite(sum) || *std::ranges::min_element(shares) < 0)
            fail("weights of sources: wanted numbers of at least 0, not all of them 0, got a sum of ", sum);
        for (double& share : shares) share /= sum;
        const double total = tokens_in_shares(chunks, shares, options);
        for (std::size_t s = 0; s < sources.size(); ++s) {
            double taken = 0;
            std::size_t count = 0;
            while (count < chunks[s].size() && taken + 0.5 < total * shares[s])
                taken += static_cast<double>(chunks[s][count++].tokens.size());
            chunks[s].resize(count);
        }
    }
    std::vector<chunk> all;
    for (std::vector<chunk>& some : chunks) std::ranges::move(some, std::back_inserter(all));
    shuffle(all, options.seed);
    return all;
}

}  // namespace detail

/// Packs documents into windows. Documents come in an order that the seed decides. One longer than a window is cut to
/// windows first; what then fits into the rest of a window is not cut: of the next 64 in order the first that fits is
/// taken, and only where none fits the next one is cut. A last window that is not filled is left out. Throws when there
/// is not one whole window.
[[nodiscard]] inline packed_windows pack_windows(std::span<const text_source> sources,
                                                 const packing_options& options = {}) {
    constexpr std::size_t candidates = 64;
    if (options.length < 3) fail("windows: wanted a length of at least 3 tokens, got ", options.length);
    std::vector<detail::chunk> chosen = detail::choose_chunks(sources, options);
    const std::size_t available = detail::total_tokens(chosen);
    std::deque<detail::chunk> waiting(std::make_move_iterator(chosen.begin()), std::make_move_iterator(chosen.end()));
    const std::size_t most = options.limit > 0 ? options.limit : std::numeric_limits<std::size_t>::max();

    std::vector<token_id> tokens;
    std::vector<std::size_t> source_tokens(sources.size());
    for (std::size_t count = 0; count < most; ++count) {
        std::vector<token_id> window;
        std::vector<std::size_t> from(sources.size());
        while (window.size() < options.length && !waiting.empty()) {
            const std::size_t room = options.length - window.size();
            const auto end = waiting.begin() + static_cast<std::ptrdiff_t>(std::min(candidates, waiting.size()));
            auto next = std::find_if(waiting.begin(), end, [&](const auto& p) { return p.tokens.size() <= room; });
            if (next == end) next = waiting.begin();
            const auto taken = static_cast<std::ptrdiff_t>(std::min(room, next->tokens.size()));
            window.insert(window.end(), next->tokens.begin(), next->tokens.begin() + taken);
            from[next->source] += static_cast<std::size_t>(taken);
            next->tokens.erase(next->tokens.begin(), next->tokens.begin() + taken);
            if (next->tokens.empty())
                waiting.erase(next);
            else if (options.bos)
                next->tokens.insert(next->tokens.begin(), *options.bos);
        }
        if (window.size() < options.length) break;
        tokens.insert(tokens.end(), window.begin(), window.end());
        for (std::size_t s = 0; s < sources.size(); ++s) source_tokens[s] += from[s];
    }
    if (tokens.empty()) fail("windows: wanted texts of at least ", options.length, " tokens, got ", available);
    return {{std::move(tokens), options.length}, std::move(source_tokens)};
}

/// Holds out a share of the windows, chosen by the seed; at least one window is used.
[[nodiscard]] inline divided_windows hold_out(const token_windows& all, double share, std::uint64_t seed) {
    if (!(share >= 0 && share < 1)) fail("windows: wanted a share of 0 to 1 to hold out, got ", share);
    std::vector<char> is_held(all.size());
    const auto wanted = static_cast<std::size_t>(std::llround(share * static_cast<double>(all.size())));
    std::fill_n(is_held.begin(), std::min(wanted, all.size() - 1), 1);
    shuffle(is_held, seed);
    std::vector<token_id> used, held;
    for (std::size_t w = 0; w < all.size(); ++w) {
        std::vector<token_id>& to = is_held[w] != 0 ? held : used;
        to.insert(to.end(), all.window(w).begin(), all.window(w).end());
    }
    divided_windows divided{{std::move(used), all.length()}};
    if (!held.empty()) divided.held_out.emplace(std::move(held), all.length());
    return divided;
}

}  // namespace tessera::text
