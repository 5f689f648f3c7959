// Matrix products with weights that are read while they are used.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "tessera/core/parallel.hpp"
#include "tessera/core/tensor_info.hpp"
#include "tessera/model/matrix.hpp"
#include "tessera/tensor/concepts.hpp"

namespace tessera::model {

/// y = W x + bias, with W some consecutive rows of a tensor: all of them, one expert's, or a part of a fused tensor.
struct linear {
    const tensor_info* tensor = nullptr;
    std::uint64_t first_row = 0;
    std::size_t outputs = 0;
    std::vector<float> bias;  ///< `outputs` numbers, or none

    [[nodiscard]] std::size_t inputs() const noexcept { return tensor->columns(); }
};

/// Rows [first, first + count) of a matrix.
[[nodiscard]] inline linear slice(const linear& whole, std::uint64_t first, std::size_t count) {
    linear part{whole.tensor, whole.first_row + first, count, {}};
    if (!whole.bias.empty()) {
        const auto begin = whole.bias.begin() + static_cast<std::ptrdiff_t>(first);
        part.bias.assign(begin, begin + static_cast<std::ptrdiff_t>(count));
    }
    return part;
}

/// One piece of the product of N weight matrices of equal shape with the same activations.
template <std::size_t N>
struct product_tile {
    Eigen::Index first_token, tokens;
    Eigen::Index first_output, outputs;
    Eigen::Index inputs;
    std::array<const float*, N> weights;

    /// Rows first_output .. first_output + outputs of matrix n.
    [[nodiscard]] const_matrix_map weight(std::size_t n) const { return {weights[n], outputs, inputs}; }

    /// Adds the bias of these outputs, if there is one, to every row of `block`.
    template <class Block>
    void add_bias(const linear& layer, Block&& block) const {
        if (!layer.bias.empty())
            block.rowwise() += Eigen::Map<const Eigen::RowVectorXf>(layer.bias.data() + first_output, outputs);
    }
};

/// Reads every weight of `layers`, which have one shape, once, and calls body(product_tile<N>) for pieces that together
/// cover all tokens and outputs, on several threads. In memory are at most 4 Mi weights of each matrix (one row, if
/// that is longer). The pieces do not depend on the number of threads.
template <std::size_t N, tensor_source Source, class Body>
void for_each_product_tile(const Source& source, const std::array<const linear*, N>& layers, Eigen::Index tokens,
                           int threads, Body&& body) {
    constexpr std::size_t panel_weights = std::size_t{1} << 22;
    constexpr std::size_t piece_weights = std::size_t{1} << 20;  // one read; after large ones sources give pages back
    constexpr std::size_t tile_outputs = 128;                    // products of tiles from here on run at full speed
    constexpr std::size_t tile_tokens = 256;
    const auto pieces_of = [](std::size_t total, std::size_t piece) { return (total + piece - 1) / piece; };

    const std::size_t inputs = layers[0]->inputs();
    const std::size_t outputs = layers[0]->outputs;
    std::size_t panel_rows = std::max<std::size_t>(1, panel_weights / inputs);
    if (panel_rows > tile_outputs) panel_rows -= panel_rows % tile_outputs;
    panel_rows = std::min(panel_rows, outputs);
    const std::size_t piece_rows = std::clamp<std::size_t>(piece_weights / inputs, 1, panel_rows);
    const auto panels = std::make_unique_for_overwrite<float[]>(N * panel_rows * inputs);
    const auto row_of = [&](std::size_t n, std::size_t r) { return panels.get() + (n * panel_rows + r) * inputs; };

    for (std::size_t first = 0; first < outputs; first += panel_rows) {
        const std::size_t rows = std::min(panel_rows, outputs - first);
        const std::size_t pieces = pieces_of(rows, piece_rows);
        parallel_for(N * pieces, threads, [&](std::size_t i) {
            const linear& layer = *layers[i / pieces];
            const std::size_t r = i % pieces * piece_rows;
            const std::size_t count = std::min(piece_rows, rows - r);
            source.read(*layer.tensor, layer.first_row + first + r, count,
                        std::span<float>(row_of(i / pieces, r), count * inputs));
        });

        const std::size_t token_tiles = pieces_of(static_cast<std::size_t>(tokens), tile_tokens);
        parallel_for(token_tiles * pieces_of(rows, tile_outputs), threads, [&](std::size_t i) {
            const std::size_t token = i % token_tiles * tile_tokens;
            const std::size_t r = i / token_tiles * tile_outputs;
            product_tile<N> tile{};
            tile.first_token = static_cast<Eigen::Index>(token);
            tile.tokens = static_cast<Eigen::Index>(std::min(tile_tokens, static_cast<std::size_t>(tokens) - token));
            tile.first_output = static_cast<Eigen::Index>(first + r);
            tile.outputs = static_cast<Eigen::Index>(std::min(tile_outputs, rows - r));
            tile.inputs = static_cast<Eigen::Index>(inputs);
            for (std::size_t n = 0; n < N; ++n) tile.weights[n] = row_of(n, r);
            body(tile);
        });
    }
}

/// y = W x + bias for every row x of `in` and y of `out`.
template <tensor_source Source, class In, class Out>
void project(const Source& source, const linear& layer, const In& in, Out& out, int threads) {
    for_each_product_tile<1>(source, {&layer}, in.rows(), threads, [&](const product_tile<1>& tile) {
        auto block = out.block(tile.first_token, tile.first_output, tile.tokens, tile.outputs);
        block.noalias() = in.middleRows(tile.first_token, tile.tokens) * tile.weight(0).transpose();
        tile.add_bias(layer, block);
    });
}

/// W x + bias for every row x of `in`.
template <tensor_source Source, class In>
[[nodiscard]] matrix projected(const Source& source, const linear& layer, const In& in, int threads) {
    matrix out(in.rows(), static_cast<Eigen::Index>(layer.outputs));
    project(source, layer, in, out, threads);
    return out;
}

/// y += W x + bias for every row x of `in` and y of `out`.
template <tensor_source Source, class In, class Out>
void add_projection(const Source& source, const linear& layer, const In& in, Out& out, int threads) {
    for_each_product_tile<1>(source, {&layer}, in.rows(), threads, [&](const product_tile<1>& tile) {
        auto block = out.block(tile.first_token, tile.first_output, tile.tokens, tile.outputs);
        block.noalias() += in.middleRows(tile.first_token, tile.tokens) * tile.weight(0).transpose();
        tile.add_bias(layer, block);
    });
}

}  // namespace tessera::model
