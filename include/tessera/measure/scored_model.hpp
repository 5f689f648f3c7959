// A model's predictions over windows of tokens.
#pragma once

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/core/function_ref.hpp"
#include "tessera/core/progress.hpp"
#include "tessera/core/stage_meter.hpp"
#include "tessera/core/token_windows.hpp"
#include "tessera/core/view.hpp"
#include "tessera/decoder/activations.hpp"
#include "tessera/decoder/matrix.hpp"
#include "tessera/decoder/model.hpp"
#include "tessera/decoder/tile_memory.hpp"
#include "tessera/decoder/token_work.hpp"
#include "tessera/measure/compare.hpp"
#include "tessera/tensor/concepts.hpp"

namespace tessera {

namespace detail {

// Calls f and puts `where` before the message of an error, so that it says which of two models it is about.
template <class Function>
decltype(auto) in_context(std::string_view where, Function&& f) {
    try {
        return f();
    } catch (const error& e) {
        fail(where, ": ", e.what());
    }
}

}  // namespace detail

/// What keeps the hidden states of a run, so that a later process goes on with it. Both may be empty.
struct layer_keeper {
    /// Puts the latest states that were kept into some of their shape; the layers that are done.
    function_ref<std::size_t(decoder::activations&)> load = {};
    function_ref<void(std::size_t layers, const decoder::activations&)> save = {};
};

/// A model and, once it has run over some windows of tokens, its hidden states at the scored positions. Kept, it is
/// compared with any number of others. Source and windows must outlive it.
template <tensor_source Source>
class scored_model {
public:
    /// Opens the decoder. `role` ("reference") names the model in errors and progress.
    scored_model(std::string_view role, const Source& source, int threads)
        : role_(role), decoder_(detail::in_context(role, [&] {
              return decoder::model<Source>(source, decoder::model_options{.threads = threads});
          })) {}

    /// Sends the windows through all layers. The first token of a window is what the caller put there, usually the
    /// begin-of-sequence token. `memory` is where hidden states are; null: all in memory. Throws when the windows are
    /// too short for a token to be scored.
    void run(const token_windows& windows, progress_callback report = {}, decoder::tile_memory* memory = nullptr,
             const layer_keeper& keeper = {}) {
        if (scored_positions::of_window(windows.length()).count == 0)
            fail(role_, ": wanted windows of at least three tokens, got windows of ", windows.length());
        detail::in_context(role_, [&] {
            decoder::activations state = decoder_.embed(windows, memory);
            const std::size_t layers = decoder_.spec().layers.size();
            std::size_t layer = keeper.load ? std::min(keeper.load(state), layers) : 0;
            const std::vector<double> work = decoder_.work_of(state.rows());
            const auto first = work.begin() + static_cast<std::ptrdiff_t>(layer);
            stage_meter meter(report, {role_, "tokens", state.rows(), decoder::work_of_layers(work),
                                       std::accumulate(work.begin(), first, 0.0)});
            for (; layer < layers; ++layer) {
                meter.begin({"layer", layer + 1, layers, work[layer]});
                decoder_.run_layer(layer, state);
                if (keeper.save) keeper.save(layer + 1, state);
            }
            meter.finish();
            keep(windows, state);
        });
    }

    /// Takes the hidden states that `windows` have after the last layer, for those who run the layers themselves.
    void keep(const token_windows& windows, const decoder::activations& state) {
        const scored_positions scored = scored_positions::of_window(windows.length());
        windows_ = &windows;
        const std::size_t width = state.columns(), windows_in_tile = state.tile_rows() / windows.length();
        hidden_.emplace(windows.size() * scored.count, width, scored.count, windows_in_tile * scored.count,
                        state.memory());
        decoder::matrix buffer;
        for (std::size_t i = 0; i < state.tiles(); ++i) {
            const decoder::matrix& all = state.look(i, buffer);
            decoder::matrix rows(static_cast<Eigen::Index>(hidden_->rows_of(i)), static_cast<Eigen::Index>(width));
            const auto count = static_cast<Eigen::Index>(scored.count);
            for (Eigen::Index w = 0; w < rows.rows() / count; ++w)
                rows.middleRows(w * count, count) = all.middleRows(
                    w * static_cast<Eigen::Index>(windows.length()) + static_cast<Eigen::Index>(scored.first), count);
            hidden_->put(i, std::move(rows));
        }
    }

    void logits(std::size_t first, mutable_matrix_view out) const {
        detail::in_context(role_, [&] {
            const std::size_t width = hidden_->columns();
            std::vector<float> rows(out.rows() * width);
            hidden_->read_rows(first, rows);
            decoder_.logits({rows, width}, out);
        });
    }

    [[nodiscard]] const decoder::model<Source>& decoder() const noexcept { return decoder_; }
    [[nodiscard]] std::string_view role() const noexcept { return role_; }
    [[nodiscard]] std::size_t vocabulary() const noexcept { return decoder_.vocabulary(); }
    /// Those it has run over.
    [[nodiscard]] const token_windows& windows() const noexcept { return *windows_; }

private:
    std::string_view role_;
    decoder::model<Source> decoder_;
    const token_windows* windows_ = nullptr;
    std::optional<decoder::activations> hidden_;
};

}  // namespace tessera
