// How far one set of predictions is from another, over windows of tokens.
#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "tessera/config.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/parallel.hpp"
#include "tessera/core/progress.hpp"
#include "tessera/core/stage_meter.hpp"
#include "tessera/core/token_windows.hpp"
#include "tessera/core/view.hpp"
#include "tessera/decoder/tile_memory.hpp"
#include "tessera/measure/concepts.hpp"
#include "tessera/measure/kl_divergence.hpp"

namespace tessera {

struct evaluate_options {
    int threads = 0;  ///< 0: all of the machine's
    /// Logits in memory at a time, of both models together; at least one row of each.
    std::size_t logits_bytes = std::size_t{128} << 20;
    decoder::tile_memory* memory = nullptr;  ///< where models that run keep hidden states; null: all in memory
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

/// Logits of scored positions of windows of tokens: `logits(first, out)` gives those of positions first .. first +
/// out.rows(), counted through all windows. `role` ("reference") names the model in errors and progress.
template <class L>
concept logits_source = requires(const L& model, std::size_t first, mutable_matrix_view out) {
    { model.role() } -> std::convertible_to<std::string_view>;
    { model.vocabulary() } -> std::convertible_to<std::size_t>;
    { model.windows() } -> std::convertible_to<const token_windows&>;
    model.logits(first, out);
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
    const token_windows& windows = p.windows();
    TESSERA_ASSERT(
        windows.length() == q.windows().length() && std::ranges::equal(windows.tokens(), q.windows().tokens()),
        "both models have run over the same windows");
    const std::size_t vocabulary = p.vocabulary();
    const std::size_t window = windows.length();
    const scored_positions scored = scored_positions::of_window(window);
    const std::size_t total = windows.size() * scored.count;
    const std::size_t tile_rows =
        std::clamp<std::size_t>(options.logits_bytes / (2 * sizeof(float) * vocabulary), 1, total);
    constexpr std::size_t part_rows = 16;  // collected by one thread; parts are merged in order
    const auto buffer = std::make_unique_for_overwrite<float[]>(2 * tile_rows * vocabulary);
    Metric collected;
    stage_meter meter(report, {"compare", "tokens", total, static_cast<double>(total)});
    for (std::size_t first = 0; first < total; first += tile_rows) {
        const std::size_t rows = std::min(tile_rows, total - first);
        meter.begin({.kind = {}, .number = 0, .count = 0, .work = static_cast<double>(rows)});
        const mutable_matrix_view p_logits({buffer.get(), rows * vocabulary}, vocabulary);
        const mutable_matrix_view q_logits({buffer.get() + rows * vocabulary, rows * vocabulary}, vocabulary);
        p.logits(first, p_logits);
        q.logits(first, q_logits);

        std::vector<Metric> parts((rows + part_rows - 1) / part_rows);
        parallel_for(parts.size(), options.threads, [&](std::size_t part) {
            for (std::size_t r = part * part_rows; r < std::min(rows, (part + 1) * part_rows); ++r) {
                const std::size_t position = first + r;  // among the scored ones
                const std::size_t token = position / scored.count * window + scored.first + position % scored.count;
                parts[part].add(p_logits.row(r), q_logits.row(r),
                                static_cast<std::size_t>(windows.tokens()[token + 1]));
            }
        });
        for (Metric& part : parts) collected.merge(std::move(part));
    }
    meter.finish();
    return collected;
}

}  // namespace tessera
