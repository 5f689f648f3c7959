// Matrix products with weights that are read while they are used.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <vector>

#include "tessera/core/parallel.hpp"
#include "tessera/core/tensor_info.hpp"
#include "tessera/decoder/matrix.hpp"
#include "tessera/kernels/product.hpp"
#include "tessera/tensor/concepts.hpp"

namespace tessera::decoder {

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

/// One tile of the products of some linear layers of one shape with the same activations.
struct product_tile {
    std::size_t first_token, tokens;
    std::size_t first_output, outputs;
    std::span<const linear* const> layers;
    const kernels::packed_left<>* x;                   ///< these tokens
    std::span<const kernels::packed_right<>> weights;  ///< of each layer, the rows that are in memory
    std::size_t first_packed;                          ///< of those, the one for the first of these outputs

    /// W x + bias of layer n: tokens x outputs.
    [[nodiscard]] matrix product(std::size_t n) const {
        matrix result = matrix::Zero(static_cast<Eigen::Index>(tokens), static_cast<Eigen::Index>(outputs));
        kernels::add_product<>(*x, tokens, weights[n], first_packed, outputs, result.data(), outputs);
        if (const std::vector<float>& bias = layers[n]->bias; !bias.empty())
            result.rowwise() += Eigen::Map<const Eigen::RowVectorXf>(bias.data() + first_output, result.cols());
        return result;
    }

    /// The part of a matrix of all tokens and outputs that this tile is about.
    template <class Whole>
    [[nodiscard]] auto part_of(Whole& whole) const {
        return whole.block(static_cast<Eigen::Index>(first_token), static_cast<Eigen::Index>(first_output),
                           static_cast<Eigen::Index>(tokens), static_cast<Eigen::Index>(outputs));
    }
};

namespace detail {

[[nodiscard]] constexpr std::size_t tiles_of(std::size_t total, std::size_t tile) { return (total + tile - 1) / tile; }

// How many rows of weights make whole panels with about so many weights; at least `least`, at most all rows.
[[nodiscard]] inline std::size_t rows_of(std::size_t weights, std::size_t least, const linear& layer) {
    constexpr std::size_t panel = kernels::packed_right<>::width;
    return std::min(std::max(weights / layer.inputs(), least) / panel * panel, layer.outputs);
}

}  // namespace detail

/// Reads every weight of `layers`, which have one shape, once, and calls body(product_tile) for tiles that together
/// cover all rows of `in` and all outputs, on several threads. In memory are at most 4 Mi weights of each layer (1024
/// rows, if they are longer) and, per thread, 1 Mi more and 126 tokens. Products do not depend on the tiles.
template <tensor_source Source, class In, class Body>
void for_each_product_tile(const Source& source, std::initializer_list<const linear*> layers, const In& in, int threads,
                           Body&& body) {
    constexpr std::size_t loaded_weights = std::size_t{1} << 22;
    constexpr std::size_t loaded_rows_at_least = 1024;          // all tokens are packed again for the next ones
    constexpr std::size_t read_weights = std::size_t{1} << 20;  // one read; after large ones sources give pages back
    constexpr std::size_t tile_tokens = 126;  // whole panels; so much of a tile stays in the second-level cache
    constexpr std::size_t tile_outputs = 256;
    static_assert(tile_tokens % kernels::packed_left<>::width == 0 &&
                  tile_outputs % kernels::packed_right<>::width == 0);
    const linear& shape = **layers.begin();
    const std::size_t inputs = shape.inputs(), outputs = shape.outputs;
    const auto tokens = static_cast<std::size_t>(in.rows()), stride = static_cast<std::size_t>(in.outerStride());
    const std::size_t loaded_rows = detail::rows_of(loaded_weights, loaded_rows_at_least, shape);
    const std::size_t read_rows = detail::rows_of(read_weights, kernels::packed_right<>::width, shape);
    std::vector<kernels::packed_right<>> loaded;
    for (std::size_t n = 0; n < layers.size(); ++n) loaded.emplace_back(loaded_rows, inputs);

    for (std::size_t first = 0; first < outputs; first += loaded_rows) {
        const std::size_t rows = std::min(loaded_rows, outputs - first);
        const std::size_t reads = detail::tiles_of(rows, read_rows);
        parallel_for(layers.size() * reads, threads, [&](std::size_t i) {
            const linear& layer = *layers.begin()[i / reads];
            const std::size_t r = i % reads * read_rows;
            const std::size_t count = std::min(read_rows, rows - r);
            const auto weights = std::make_unique_for_overwrite<float[]>(count * inputs);
            source.read(*layer.tensor, layer.first_row + first + r, count, std::span(weights.get(), count * inputs));
            loaded[i / reads].pack(r, weights.get(), inputs, count);
        });

        // A task is a tile of tokens, which it packs, and a range of outputs: the more tokens, the fewer ranges.
        const std::size_t token_tiles = detail::tiles_of(tokens, tile_tokens);
        const std::size_t output_tiles = detail::tiles_of(rows, tile_outputs);
        const std::size_t enough_tasks = 16 * static_cast<std::size_t>(thread_count(threads));
        const std::size_t ranges = std::min(enough_tasks / (token_tiles + 1) + 1, output_tiles);
        parallel_for(token_tiles * ranges, threads, [&](std::size_t i) {
            const std::size_t token = i % token_tiles * tile_tokens, range = i / token_tiles;
            const std::size_t count = std::min(tile_tokens, tokens - token);
            kernels::packed_left<> x(count, inputs);
            x.pack(0, in.data() + token * stride, stride, count);
            for (std::size_t t = range * output_tiles / ranges; t < (range + 1) * output_tiles / ranges; ++t) {
                const std::size_t r = t * tile_outputs;
                body(product_tile{token,
                                  count,
                                  first + r,
                                  std::min(tile_outputs, rows - r),
                                  {layers.begin(), layers.size()},
                                  &x,
                                  loaded,
                                  r});
            }
        });
    }
}

/// y = W x + bias for every row x of `in` and y of `out`.
template <tensor_source Source, class In, class Out>
void project(const Source& source, const linear& layer, const In& in, Out& out, int threads) {
    for_each_product_tile(source, {&layer}, in, threads,
                          [&](const product_tile& tile) { tile.part_of(out) = tile.product(0); });
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
    for_each_product_tile(source, {&layer}, in, threads,
                          [&](const product_tile& tile) { tile.part_of(out) += tile.product(0); });
}

}  // namespace tessera::decoder
