// Causal grouped-query attention within windows.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <vector>

#include "tessera/core/parallel.hpp"
#include "tessera/decoder/activation.hpp"
#include "tessera/decoder/layer_run.hpp"
#include "tessera/decoder/layer_steps.hpp"
#include "tessera/decoder/linear.hpp"
#include "tessera/decoder/matrix.hpp"
#include "tessera/decoder/norm.hpp"
#include "tessera/kernels/softmax.hpp"

namespace tessera::decoder {

struct attention_weights {
    linear query;  ///< where attention is gated: of every head, the query, then its gate
    linear key, value;
    std::vector<float> query_norm, key_norm;  ///< head_size numbers, or none
    std::vector<float> sinks;                 ///< a logit per head, or none
};

/// The first key that the query at `position` sees.
[[nodiscard]] inline std::size_t first_visible(const attention_scope& scope, std::size_t position) noexcept {
    const std::size_t by_window = scope.window != 0 && position >= scope.window ? position + 1 - scope.window : 0;
    const std::size_t by_chunk = scope.chunk != 0 ? position - position % scope.chunk : 0;
    return std::max(by_window, by_chunk);
}

/// Readies queries or keys for their products: each head of each row is normalised (if `norm` has numbers), rotated by
/// the row's position in its window and, if the scope asks for that, normalised without weights. `stride` numbers lie
/// between the starts of two heads.
template <tensor_source Source>
void place_heads(const layer_run<Source>& run, std::span<const float> norm, std::size_t stride, matrix& heads) {
    const std::size_t size = run.spec.head_size;
    const double epsilon = run.spec.norm_epsilon;
    for_each_row_block(heads.rows(), run.threads, [&](Eigen::Index first, Eigen::Index rows) {
        for (Eigen::Index r = first; r < first + rows; ++r)
            for (std::size_t h = 0; h < static_cast<std::size_t>(heads.cols()); h += stride) {
                const std::span<float> head = row(heads, r).subspan(h, size);
                if (!norm.empty()) rms_norm(head, norm, epsilon, head);
                run.rope.apply(head.data(), static_cast<std::size_t>(r) % run.window);
                if (!run.scope.norm_after_rope) continue;
                const float scale = inverse_rms(head, epsilon);
                for (float& x : head) x *= scale;
            }
    });
}

/// Every query sees the keys of its window that the scope lets it. Rows are tokens; columns are heads after heads, of
/// which the first head_size (value_size) numbers count: heads in `queries`, kv_heads in `keys` and `values`. `out`
/// becomes heads x value_size. `sinks` holds a logit per head, or none. Scores in memory: one block of queries times
/// the keys they see, per thread.
template <tensor_source Source>
void attend(const layer_run<Source>& run, const matrix& queries, const matrix& keys, const matrix& values,
            std::span<const float> sinks, matrix& out) {
    constexpr Eigen::Index query_block = 128;
    const model_spec& spec = run.spec;
    const auto length = static_cast<Eigen::Index>(run.window);
    const auto head_size = static_cast<Eigen::Index>(spec.head_size);
    const auto value_size = static_cast<Eigen::Index>(spec.value_size);
    const auto query_stride = queries.cols() / static_cast<Eigen::Index>(spec.heads);
    const std::size_t group = spec.heads / spec.kv_heads;
    const std::size_t windows = static_cast<std::size_t>(queries.rows()) / run.window;
    const auto scale = static_cast<float>(spec.attention_scale);
    out.resize(queries.rows(), static_cast<Eigen::Index>(spec.heads) * value_size);

    parallel_for(windows * spec.heads, run.threads, [&](std::size_t i) {
        const auto first = static_cast<Eigen::Index>(i / spec.heads) * length;
        const std::size_t head = i % spec.heads;
        const auto query_column = static_cast<Eigen::Index>(head) * query_stride;
        const auto key_column = static_cast<Eigen::Index>(head / group) * head_size;
        const auto value_column = static_cast<Eigen::Index>(head / group) * value_size;
        const auto out_column = static_cast<Eigen::Index>(head) * value_size;
        matrix scores;  // and a column for the sink
        for (Eigen::Index from = 0; from < length; from += query_block) {
            const Eigen::Index count = std::min(query_block, length - from);
            const auto begin = static_cast<Eigen::Index>(first_visible(run.scope, static_cast<std::size_t>(from)));
            const Eigen::Index seen = from + count - begin;  // by some query of the block
            scores.resize(count, seen + 1);
            scores.leftCols(seen).noalias() = scale * queries.block(first + from, query_column, count, head_size) *
                                              keys.block(first + begin, key_column, seen, head_size).transpose();
            for (Eigen::Index r = 0; r < count; ++r) {
                const auto position = static_cast<std::size_t>(from + r);
                const std::size_t hidden = first_visible(run.scope, position) - static_cast<std::size_t>(begin);
                const std::size_t visible = position + 1 - static_cast<std::size_t>(begin) - hidden;
                const std::span<float> all = row(scores, r);
                const std::span<float> own = all.subspan(hidden, visible);
                if (spec.attention_cap != 0) soft_cap(own, spec.attention_cap);
                all[hidden + visible] = sinks.empty() ? 0.0f : sinks[head];
                kernels::softmax(all.subspan(hidden, visible + (sinks.empty() ? 0 : 1)));
                std::ranges::fill(all.first(hidden), 0.0f);
                std::ranges::fill(all.subspan(hidden + visible), 0.0f);
            }
            out.block(first + from, out_column, count, value_size).noalias() =
                scores.leftCols(seen) * values.block(first + begin, value_column, seen, value_size);
        }
    });
}

/// Multiplies every query by the attention temperature of its position.
template <tensor_source Source>
void apply_temperature(const layer_run<Source>& run, matrix& queries) {
    const attention_temperature& temperature = run.scope.temperature;
    if (temperature.step == 0) return;
    for (Eigen::Index r = 0; r < queries.rows(); ++r) {
        const std::size_t steps = (static_cast<std::size_t>(r) % run.window + temperature.offset) / temperature.step;
        queries.row(r) *= static_cast<float>(1.0 + temperature.weight * std::log(static_cast<double>(steps) + 1.0));
    }
}

/// mixed = mixed * sigmoid(gate), with the gate of each head after its query.
template <tensor_source Source>
void apply_head_gates(const layer_run<Source>& run, const matrix& queries, matrix& mixed) {
    const std::size_t size = run.spec.value_size;
    const std::size_t stride = 2 * run.spec.head_size;
    for_each_row_block(mixed.rows(), run.threads, [&](Eigen::Index first, Eigen::Index rows) {
        for (Eigen::Index r = first; r < first + rows; ++r)
            for (std::size_t h = 0; h < run.spec.heads; ++h) {
                const float* gate = queries.row(r).data() + h * stride + run.spec.head_size;
                float* x = mixed.row(r).data() + h * size;
                for (std::size_t i = 0; i < size; ++i) x[i] *= sigmoid(gate[i]);
            }
    });
}

/// The steps from normed hidden states to what the heads yield (heads x value_size).
template <tensor_source Source>
[[nodiscard]] std::vector<layer_step> mixer_steps(const layer_run<Source>& run, const attention_weights& weights,
                                                  const row_tiles&) {
    const auto mix = [&run, &weights](std::size_t, matrix& x) {
        matrix queries = projected(run.source, weights.query, x, run.threads);
        matrix keys = projected(run.source, weights.key, x, run.threads);
        const matrix values = projected(run.source, weights.value, x, run.threads);
        place_heads(run, weights.query_norm, static_cast<std::size_t>(queries.cols()) / run.spec.heads, queries);
        place_heads(run, weights.key_norm, run.spec.head_size, keys);
        apply_temperature(run, queries);
        attend(run, queries, keys, values, weights.sinks, x);
        if (run.spec.block.gated_attention) apply_head_gates(run, queries, x);
    };
    return {{{{0, run.spec.width, {&weights.query, &weights.key, &weights.value}}},
             run.spec.heads * run.spec.value_size,
             mix}};
}

}  // namespace tessera::decoder
