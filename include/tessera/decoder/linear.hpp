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
#include "tessera/core/stage_meter.hpp"
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

/// Some linear layers of one shape, to be multiplied with the same activations.
struct product_group {
    std::span<const linear* const> layers;
    const float* rows;  ///< one per token
    std::size_t tokens;
    std::size_t stride;  ///< from one row to the next

    template <class In>
    product_group(std::span<const linear* const> all, const In& in)
        : layers(all),
          rows(in.data()),
          tokens(static_cast<std::size_t>(in.rows())),
          stride(static_cast<std::size_t>(in.outerStride())) {}
};

/// One tile of the products of a group.
struct product_tile {
    std::size_t group;  ///< which one
    std::size_t first_token, tokens;
    std::size_t first_output, outputs;
    std::span<const linear* const> layers;
    const kernels::packed_left<>* x;                   ///< these tokens
    std::span<const kernels::packed_right<>> weights;  ///< of each layer, the rows that are in memory
    std::size_t first_packed;                          ///< of those, the one for the first of these outputs

    /// W x + bias of layer n: tokens x outputs.
    [[nodiscard]] matrix product(std::size_t n) const {
        matrix result = matrix::Zero(static_cast<Eigen::Index>(tokens), static_cast<Eigen::Index>(outputs));
        kernels::add_product<>(*x, 0, tokens, weights[n], first_packed, outputs, result.data(), outputs);
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

/// Weights of each layer that are in memory at a time, at most; 1024 rows, if they are longer.
inline constexpr std::size_t loaded_weights = std::size_t{1} << 22;

/// Reads every weight of the groups' layers once, and calls body(product_tile) for tiles that together cover, of every
/// group, all rows and all outputs, on several threads. The groups share them: many small ones take as long as one
/// large one. In memory are at most `loaded_weights` of each layer of each group and, per thread, 1 Mi more and 126
/// tokens. Products do not depend on the tiles, nor on the other groups.
template <tensor_source Source, class Body>
void for_each_product_tile(const Source& source, std::span<const product_group> groups, int threads, Body&& body) {
    constexpr std::size_t loaded_rows_at_least = 1024;          // all tokens are packed again for the next ones
    constexpr std::size_t read_weights = std::size_t{1} << 20;  // one read; after large ones sources give pages back
    constexpr std::size_t tile_tokens = 126;  // whole panels; so much of a tile stays in the second-level cache
    constexpr std::size_t tile_outputs = 256;
    static_assert(tile_tokens % kernels::packed_left<>::width == 0 &&
                  tile_outputs % kernels::packed_right<>::width == 0);
    struct state {  // of a group
        std::size_t inputs, outputs, loaded_rows, read_rows;
        std::vector<kernels::packed_right<>> loaded{};
        std::size_t rows = 0;  // in memory
    };
    struct task {
        std::size_t group, first, last;  // rows of a layer to read; or a tile of tokens and its range of outputs
        std::size_t of;                  // the layer; or the number of ranges
    };
    std::vector<state> states;
    for (const product_group& group : groups) {
        const linear& shape = *group.layers.front();
        state& made = states.emplace_back(state{shape.inputs(), shape.outputs,
                                                detail::rows_of(loaded_weights, loaded_rows_at_least, shape),
                                                detail::rows_of(read_weights, kernels::packed_right<>::width, shape)});
        for (std::size_t n = 0; n < group.layers.size(); ++n) made.loaded.emplace_back(made.loaded_rows, made.inputs);
    }

    std::vector<task> tasks;
    for (std::size_t turn = 0;; ++turn) {
        tasks.clear();
        std::size_t token_tiles = 0;
        double work = 0;
        for (std::size_t g = 0; g < groups.size(); ++g) {
            state& at = states[g];
            at.rows = at.outputs - std::min(turn * at.loaded_rows, at.outputs);
            at.rows = std::min(at.rows, at.loaded_rows);
            if (at.rows == 0) continue;
            token_tiles += detail::tiles_of(groups[g].tokens, tile_tokens);
            work += static_cast<double>(groups[g].layers.size() * groups[g].tokens) *
                    static_cast<double>(at.rows * at.inputs);
            for (std::size_t n = 0; n < groups[g].layers.size(); ++n)
                for (std::size_t r = 0; r < at.rows; r += at.read_rows)
                    tasks.push_back({g, r, std::min(r + at.read_rows, at.rows), n});
        }
        if (tasks.empty()) return;
        parallel_for(tasks.size(), threads, [&](std::size_t i) {
            const auto& [g, r, end, n] = tasks[i];
            state& at = states[g];
            const linear& layer = *groups[g].layers[n];
            const std::size_t count = end - r;
            const auto weights = std::make_unique_for_overwrite<float[]>(count * at.inputs);
            source.read(*layer.tensor, layer.first_row + turn * at.loaded_rows + r, count,
                        std::span(weights.get(), count * at.inputs));
            at.loaded[n].pack(r, weights.get(), at.inputs, count);
        });

        // A task is a tile of tokens, which it packs, and a range of outputs: the more tokens, the fewer ranges.
        tasks.clear();
        const std::size_t enough_tasks = 16 * static_cast<std::size_t>(thread_count(threads));
        for (std::size_t g = 0; g < groups.size(); ++g) {
            const std::size_t output_tiles = detail::tiles_of(states[g].rows, tile_outputs);
            const std::size_t ranges = std::min(enough_tasks / (token_tiles + 1) + 1, output_tiles);
            for (std::size_t range = 0; range < ranges; ++range)
                for (std::size_t token = 0; token < groups[g].tokens; token += tile_tokens)
                    tasks.push_back({g, token, range, ranges});
        }
        parallel_for(tasks.size(), threads, [&](std::size_t i) {
            const auto& [g, token, range, ranges] = tasks[i];
            const product_group& group = groups[g];
            const state& at = states[g];
            const std::size_t output_tiles = detail::tiles_of(at.rows, tile_outputs);
            const std::size_t count = std::min(tile_tokens, group.tokens - token);
            kernels::packed_left<> x(count, at.inputs);
            x.pack(0, group.rows + token * group.stride, group.stride, count);
            for (std::size_t t = range * output_tiles / ranges; t < (range + 1) * output_tiles / ranges; ++t) {
                const std::size_t r = t * tile_outputs;
                body(product_tile{g, token, count, turn * at.loaded_rows + r, std::min(tile_outputs, at.rows - r),
                                  group.layers, &x, at.loaded, r});
            }
        });
        count_work(work, groups.front().layers.front()->tensor->name);
    }
}

/// The same of some layers of one shape and all rows of `in`.
template <tensor_source Source, class In, class Body>
void for_each_product_tile(const Source& source, std::initializer_list<const linear*> layers, const In& in, int threads,
                           Body&& body) {
    const product_group group({layers.begin(), layers.size()}, in);
    for_each_product_tile(source, {&group, 1}, threads, body);
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
