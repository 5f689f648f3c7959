// How far one model's predictions are from another's, over windows of tokens.
#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "tessera/config.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/parallel.hpp"
#include "tessera/core/progress.hpp"
#include "tessera/core/view.hpp"
#include "tessera/decoder/model.hpp"
#include "tessera/measure/concepts.hpp"
#include "tessera/measure/kl_divergence.hpp"
#include "tessera/tensor/concepts.hpp"

namespace tessera {

struct evaluate_options {
    int threads = 0;  ///< 0: all of the machine's
    /// Logits in memory at a time, of both models together; at least one row of each.
    std::size_t logits_bytes = std::size_t{128} << 20;
};

/// Which positions of a window are scored: those with at least half a window before them, each for its prediction of
/// the token that follows. (llama.cpp's perplexity tool)
struct scored_positions {
    std::size_t first;
    std::size_t count;

    [[nodiscard]] static constexpr scored_positions of_window(std::size_t length) noexcept {
        return {length / 2, length < 2 ? 0 : length - 1 - length / 2};
    }
};

namespace detail {

// Calls f and puts `where` before the message of an error, so that it tells which of two models it is about.
template <class Function>
decltype(auto) in_context(std::string_view where, Function&& f) {
    try {
        return f();
    } catch (const error& e) {
        fail(where, ": ", e.what());
    }
}

}  // namespace detail

/// Logits of scored positions of windows of tokens: `logits(first, out)` gives those of positions first .. first +
/// out.rows(), counted through all windows. `role` ("reference") names the model in errors and progress.
template <class L>
concept logits_source = requires(const L& model, std::size_t first, mutable_matrix_view out) {
    { model.role() } -> std::convertible_to<std::string_view>;
    { model.vocabulary() } -> std::convertible_to<std::size_t>;
    { model.tokens() } -> std::convertible_to<std::span<const std::int32_t>>;
    { model.window() } -> std::convertible_to<std::size_t>;
    model.logits(first, out);
};

/// A model and, once it has run over some windows of tokens, its hidden states at the scored positions. Kept, it is
/// compared with any number of others. Source and tokens must outlive it.
template <tensor_source Source>
class scored_model {
public:
    /// Opens the decoder. `role` ("reference") names the model in errors and progress.
    scored_model(std::string_view role, const Source& source, int threads)
        : role_(role), decoder_(detail::in_context(role, [&] {
              return decoder::model<Source>(source, decoder::model_options{.threads = threads});
          })) {}

    /// Sends whole windows of `window` tokens through all layers. The first token of a window is what the caller put
    /// there, usually the begin-of-sequence token. Throws when the tokens make no whole windows or nothing is scored.
    void run(std::span<const std::int32_t> tokens, std::size_t window, progress_callback report = {}) {
        if (tokens.empty() || scored_positions::of_window(window).count == 0)
            fail(role_, ": wanted at least one window of three tokens, got ", tokens.size(), " tokens in windows of ",
                 window);
        detail::in_context(role_, [&] {
            decoder::activations state = decoder_.embed(tokens, window);
            const auto forward = [&](progress p) {
                p.stage = role_;
                report(p);
            };
            decoder_.run(state, report ? progress_callback(forward) : progress_callback());
            keep(tokens, state);
        });
    }

    /// Takes the hidden states that `tokens` have behind the last layer, for those who run the layers themselves.
    void keep(std::span<const std::int32_t> tokens, const decoder::activations& state) {
        const scored_positions scored = scored_positions::of_window(state.window);
        TESSERA_ASSERT(scored.count > 0, "windows have scored positions");
        tokens_ = tokens;
        window_ = state.window;
        width_ = decoder_.spec().width;
        hidden_.clear();
        hidden_.reserve(tokens.size() / window_ * scored.count * width_);
        for (std::size_t w = 0; w < tokens.size(); w += window_) {
            const auto rows = state.view().values().subspan((w + scored.first) * width_, scored.count * width_);
            hidden_.insert(hidden_.end(), rows.begin(), rows.end());
        }
    }

    void logits(std::size_t first, mutable_matrix_view out) const {
        detail::in_context(role_, [&] {
            decoder_.logits({std::span(hidden_).subspan(first * width_, out.rows() * width_), width_}, out);
        });
    }

    [[nodiscard]] const decoder::model<Source>& decoder() const noexcept { return decoder_; }
    [[nodiscard]] std::string_view role() const noexcept { return role_; }
    [[nodiscard]] std::size_t vocabulary() const noexcept { return decoder_.vocabulary(); }
    [[nodiscard]] std::span<const std::int32_t> tokens() const noexcept { return tokens_; }
    [[nodiscard]] std::size_t window() const noexcept { return window_; }

private:
    std::string_view role_;
    decoder::model<Source> decoder_;
    std::span<const std::int32_t> tokens_;
    std::size_t window_ = 0;
    std::size_t width_ = 0;
    std::vector<float> hidden_;
};

/// Throws unless both models predict tokens of a vocabulary of the same size.
void require_same_vocabulary(const logits_source auto& p, const logits_source auto& q) {
    if (p.vocabulary() != q.vocabulary())
        fail(q.role(), ": wanted the ", p.role(), "'s vocabulary of ", p.vocabulary(), " tokens, got ", q.vocabulary());
}

/// Compares two models that have run over the same windows: tile by tile of scored positions both sets of logits are
/// computed and fed to the metric, never more than `options.logits_bytes` of them. The result does not depend on the
/// number of threads. Throws when the vocabularies differ in size.
template <metric Metric = kl_divergence>
[[nodiscard]] Metric compare(const logits_source auto& p, const logits_source auto& q,
                             const evaluate_options& options = {}, progress_callback report = {}) {
    require_same_vocabulary(p, q);
    TESSERA_ASSERT(p.window() > 0 && p.window() == q.window() && std::ranges::equal(p.tokens(), q.tokens()),
                   "both models have run over the same windows");
    const std::size_t vocabulary = p.vocabulary();
    const std::size_t window = p.window();
    const scored_positions scored = scored_positions::of_window(window);
    const std::size_t total = p.tokens().size() / window * scored.count;
    const std::size_t tile_rows =
        std::clamp<std::size_t>(options.logits_bytes / (2 * sizeof(float) * vocabulary), 1, total);
    constexpr std::size_t part_rows = 16;  // collected by one thread; parts are merged in order
    const auto buffer = std::make_unique_for_overwrite<float[]>(2 * tile_rows * vocabulary);
    Metric collected;
    for (std::size_t first = 0; first < total; first += tile_rows) {
        const std::size_t rows = std::min(tile_rows, total - first);
        const mutable_matrix_view p_logits({buffer.get(), rows * vocabulary}, vocabulary);
        const mutable_matrix_view q_logits({buffer.get() + rows * vocabulary, rows * vocabulary}, vocabulary);
        p.logits(first, p_logits);
        q.logits(first, q_logits);

        std::vector<Metric> parts((rows + part_rows - 1) / part_rows);
        parallel_for(parts.size(), options.threads, [&](std::size_t part) {
            for (std::size_t r = part * part_rows; r < std::min(rows, (part + 1) * part_rows); ++r) {
                const std::size_t position = first + r;  // among the scored ones
                const std::size_t token = position / scored.count * window + scored.first + position % scored.count;
                parts[part].add(p_logits.row(r), q_logits.row(r), static_cast<std::size_t>(p.tokens()[token + 1]));
            }
        });
        for (Metric& part : parts) collected.merge(std::move(part));
        if (report) report({.stage = "compare", .unit = "tokens", .done = first + rows, .total = total});
    }
    return collected;
}

/// Measures `candidate` against `reference` on whole windows of `window` tokens each: both run, then they are compared.
/// Throws as scored_model::run and compare do; the message begins with "reference" or "candidate".
template <metric Metric = kl_divergence, tensor_source Reference, tensor_source Candidate>
[[nodiscard]] Metric evaluate(const Reference& reference, const Candidate& candidate,
                              std::span<const std::int32_t> tokens, std::size_t window,
                              const evaluate_options& options = {}, progress_callback report = {}) {
    scored_model p("reference", reference, options.threads);
    scored_model q("candidate", candidate, options.threads);
    require_same_vocabulary(p, q);  // before the long work
    p.run(tokens, window, report);
    q.run(tokens, window, report);
    return compare<Metric>(p, q, options, report);
}

}  // namespace tessera
