// Causal attention within windows.
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>

#include "tessera/core/parallel.hpp"
#include "tessera/kernels/softmax.hpp"
#include "tessera/model/decoder_spec.hpp"
#include "tessera/model/matrix.hpp"
#include "tessera/model/rope.hpp"

namespace tessera::model {

/// Rotates every head in every row of `heads` (queries or keys) by the row's position in its window.
inline void apply_rope(const rope_table& rope, std::size_t head_size, std::size_t window, matrix& heads, int threads) {
    for_each_row_block(heads.rows(), threads, [&](Eigen::Index first, Eigen::Index rows) {
        for (Eigen::Index r = first; r < first + rows; ++r)
            for (std::size_t h = 0; h < static_cast<std::size_t>(heads.cols()); h += head_size)
                rope.apply(heads.row(r).data() + h, static_cast<std::size_t>(r) % window);
    });
}

/// Every query sees the keys of its window up to its own position. Rows are tokens; columns are heads after heads:
/// heads x head_size in `queries`, kv_heads x head_size in `keys`, kv_heads x value_size in `values`. `out` becomes
/// heads x value_size. Scores in memory: one block of queries times a window, per thread.
inline void attend(const decoder_spec& spec, std::size_t window, const matrix& queries, const matrix& keys,
                   const matrix& values, matrix& out, int threads) {
    constexpr Eigen::Index query_block = 128;
    const auto length = static_cast<Eigen::Index>(window);
    const auto head_size = static_cast<Eigen::Index>(spec.head_size);
    const auto value_size = static_cast<Eigen::Index>(spec.value_size);
    const std::size_t group = spec.heads / spec.kv_heads;
    const std::size_t windows = static_cast<std::size_t>(queries.rows()) / window;
    const auto scale = static_cast<float>(spec.attention_scale);
    out.resize(queries.rows(), static_cast<Eigen::Index>(spec.heads) * value_size);

    parallel_for(windows * spec.heads, threads, [&](std::size_t i) {
        const auto first = static_cast<Eigen::Index>(i / spec.heads) * length;
        const std::size_t head = i % spec.heads;
        const auto query_column = static_cast<Eigen::Index>(head) * head_size;
        const auto key_column = static_cast<Eigen::Index>(head / group) * head_size;
        const auto value_column = static_cast<Eigen::Index>(head / group) * value_size;
        const auto out_column = static_cast<Eigen::Index>(head) * value_size;
        matrix scores;
        for (Eigen::Index from = 0; from < length; from += query_block) {
            const Eigen::Index count = std::min(query_block, length - from);
            const Eigen::Index seen = from + count;  // by the block's last query
            scores.resize(count, seen);
            scores.noalias() = scale * queries.block(first + from, query_column, count, head_size) *
                               keys.block(first, key_column, seen, head_size).transpose();
            for (Eigen::Index r = 0; r < count; ++r) {
                const std::span<float> all = row(scores, r);
                const auto visible = static_cast<std::size_t>(from + r + 1);
                kernels::softmax(all.first(visible));
                std::ranges::fill(all.subspan(visible), 0.0f);
            }
            out.block(first + from, out_column, count, value_size).noalias() =
                scores * values.block(first, value_column, seen, value_size);
        }
    });
}

}  // namespace tessera::model
