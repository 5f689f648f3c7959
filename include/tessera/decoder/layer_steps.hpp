// A half of a layer as steps, each from the rows of the step before: between them observers see the rows.
#pragma once

#include <cstddef>
#include <functional>
#include <initializer_list>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "tessera/core/function_ref.hpp"
#include "tessera/decoder/activations.hpp"
#include "tessera/decoder/layer_run.hpp"
#include "tessera/decoder/linear.hpp"
#include "tessera/decoder/matrix.hpp"
#include "tessera/decoder/observer.hpp"
#include "tessera/decoder/routing.hpp"
#include "tessera/tensor/concepts.hpp"

namespace tessera::decoder {

/// The rows that the first step gets, made tile by tile, as often as they are needed.
struct row_tiles {
    std::size_t rows, tile_rows;
    function_ref<void(std::size_t tile, matrix& out)> make;

    [[nodiscard]] std::size_t size() const noexcept { return (rows + tile_rows - 1) / tile_rows; }
};

/// Linear layers that get the same columns of a step's rows.
struct step_input {
    std::size_t first_column, columns;
    std::vector<const linear*> layers;
};

/// What `inputs` are multiplied with is shown before `apply` turns a tile's rows into the next step's, of `columns`.
struct layer_step {
    std::vector<step_input> inputs;
    std::size_t columns;
    std::function<void(std::size_t tile, matrix& rows)> apply;
};

/// Sends rows through steps, then calls finish(tile, rows) with what `last` is to be multiplied with. `routed` holds
/// the token of each row where they are an expert's.
///
/// Without an observer, and for one that wants parts, a tile goes through all steps at once. Else a step is over before
/// the next one begins, and what lies between is stored: an observer may change the weights behind it.
template <tensor_source Source, class Finish>
void run_steps(const layer_run<Source>& run, const row_tiles& in, std::span<const layer_step> steps, const linear& last,
               std::span<const routed_token> routed, Finish&& finish) {
    const auto show = [&](input_tiles::reader read, std::size_t rows, const step_input& input,
                          std::span<const routed_token> tokens) {
        run.observe(input_tiles(read, rows, in.tile_rows, input.first_column, input.columns), input.layers, tokens);
    };
    const step_input end{0, last.inputs(), {&last}};
    const bool is_in_parts =
        run.shown == shown_inputs::parts || (run.shown == shown_inputs::routed_whole && routed.empty());
    if (!run.observer || is_in_parts) {
        for (std::size_t i = 0; i < in.size(); ++i) {
            const std::size_t first = i * in.tile_rows, count = std::min(in.tile_rows, in.rows - first);
            matrix rows;
            in.make(i, rows);
            layer_run<Source> part = run;
            part.first_token += first;
            const auto show_part = [&](const step_input& input) {
                if (!run.observer) return;
                const auto read = [&](std::size_t, matrix&) -> const matrix& { return rows; };
                const input_tiles tiles(read, count, in.tile_rows, input.first_column, input.columns);
                part.observe(tiles, input.layers, routed.empty() ? routed : routed.subspan(first, count));
            };
            for (const layer_step& step : steps) {
                for (const step_input& input : step.inputs) show_part(input);
                step.apply(i, rows);
            }
            show_part(end);
            finish(i, rows);
        }
        return;
    }
    std::optional<activations> current;  // nothing: the first rows
    const auto read = [&](std::size_t i, matrix& buffer) -> const matrix& {
        if (current) return current->look(i, buffer);
        in.make(i, buffer);
        return buffer;
    };
    const auto take = [&](std::size_t i) {
        if (current) return current->take(i);
        matrix rows;
        in.make(i, rows);
        return rows;
    };
    for (const layer_step& step : steps) {
        for (const step_input& input : step.inputs) show(read, in.rows, input, routed);
        activations next(in.rows, step.columns, run.window, in.tile_rows, run.memory);
        for (std::size_t i = 0; i < in.size(); ++i) {
            matrix rows = take(i);
            step.apply(i, rows);
            next.put(i, std::move(rows));
        }
        current = std::move(next);
    }
    show(read, in.rows, end, routed);
    for (std::size_t i = 0; i < in.size(); ++i) {
        matrix rows = take(i);
        finish(i, rows);
    }
}

}  // namespace tessera::decoder
