// Gated delta net: linear attention with a decaying state that is updated by the delta rule (Yang et al., 2024).
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <utility>
#include <vector>

#include "tessera/core/parallel.hpp"
#include "tessera/decoder/activation.hpp"
#include "tessera/decoder/layer_run.hpp"
#include "tessera/decoder/layer_steps.hpp"
#include "tessera/decoder/linear.hpp"
#include "tessera/decoder/matrix.hpp"
#include "tessera/decoder/norm.hpp"
#include "tessera/kernels/reduce.hpp"

namespace tessera::decoder {

/// K key heads, V value heads, all of d numbers.
struct delta_net_weights {
    // Each whole, or in several slices.
    std::vector<linear> channels;     ///< -> K queries, K keys, V values
    std::vector<linear> gate;         ///< -> V x d
    std::vector<linear> rate, decay;  ///< -> V numbers: beta and alpha
    matrix kernel;                    ///< of the convolution: tokens x channels; the last row is for the current token
    std::vector<float> decay_bias, decay_scale;  ///< V numbers
    std::vector<float> head_norm;                ///< d numbers
};

namespace detail {

// Every channel of every token becomes silu of a weighted sum over the last tokens of its window. In place, from the
// window's last token to its first: what a sum needs has not been overwritten yet.
inline void convolve(const matrix& kernel, std::size_t window, matrix& channels, int threads) {
    constexpr Eigen::Index strip = 256;  // channels at a time
    const auto length = static_cast<Eigen::Index>(window);
    const Eigen::Index strips = (channels.cols() + strip - 1) / strip;
    const auto tasks = static_cast<std::size_t>(channels.rows() / length * strips);
    parallel_for(tasks, threads, [&](std::size_t i) {
        const Eigen::Index start = static_cast<Eigen::Index>(i) / strips * length;
        const Eigen::Index column = static_cast<Eigen::Index>(i) % strips * strip;
        const Eigen::Index count = std::min(strip, channels.cols() - column);
        for (Eigen::Index t = length; t-- > 0;) {
            auto now = channels.row(start + t).segment(column, count);
            now.array() *= kernel.row(kernel.rows() - 1).segment(column, count).array();
            for (Eigen::Index back = 1; back < std::min(kernel.rows(), t + 1); ++back)
                now.array() += kernel.row(kernel.rows() - 1 - back).segment(column, count).array() *
                               channels.row(start + t - back).segment(column, count).array();
            for (float& x : std::span(now.data(), static_cast<std::size_t>(count))) x *= sigmoid(x);
        }
    });
}

// x / sqrt(|x|^2 + epsilon) * scale
inline void scale_to_length(std::span<float> x, double epsilon, double scale) {
    const double squares = kernels::sum<double>(x.size(), [&](std::size_t i) { return double{x[i]} * double{x[i]}; });
    const auto factor = static_cast<float>(scale / std::sqrt(squares + epsilon));
    for (float& value : x) value *= factor;
}

// One head's state: what it remembers under each of d keys.
class delta_state {
public:
    explicit delta_state(Eigen::Index size) : memory_(matrix::Zero(size, size)), recalled_(size) {}

    // S <- decay S; S <- S + k (rate (v - S' k))'; returns S' q in the place of v.
    template <class Row>
    void step(const Row& query, const Row& key, float decay, float rate, std::span<float> value) {
        auto v = Eigen::Map<Eigen::RowVectorXf>(value.data(), memory_.cols());
        memory_ *= decay;
        recalled_.noalias() = key * memory_;
        recalled_ = rate * (v - recalled_);
        memory_.noalias() += key.transpose() * recalled_;
        v.noalias() = query * memory_;
    }

private:
    matrix memory_;  // keys x values
    Eigen::RowVectorXf recalled_;
};

template <tensor_source Source>
[[nodiscard]] matrix project_slices(const layer_run<Source>& run, const std::vector<linear>& slices, const matrix& x) {
    std::size_t outputs = 0;
    for (const linear& slice : slices) outputs += slice.outputs;
    matrix all(x.rows(), static_cast<Eigen::Index>(outputs));
    Eigen::Index column = 0;
    for (const linear& slice : slices) {
        auto part = all.middleCols(column, static_cast<Eigen::Index>(slice.outputs));
        project(run.source, slice, x, part, run.threads);
        column += part.cols();
    }
    return all;
}

// From normed hidden states to what the heads yield (V x d), in place. Every window starts with an empty state. The
// state is stepped token by token: against the layer's matrix products that costs little.
template <tensor_source Source>
void mix(const layer_run<Source>& run, const delta_net_weights& weights, matrix& x) {
    const delta_net_spec& net = run.spec.delta_net;
    const auto size = static_cast<Eigen::Index>(net.head_size);
    const auto keys = static_cast<Eigen::Index>(net.key_heads);
    const double epsilon = run.spec.norm_epsilon;
    matrix channels = project_slices(run, weights.channels, x);
    const matrix rates = project_slices(run, weights.rate, x);
    const matrix decays = project_slices(run, weights.decay, x);
    x = project_slices(run, weights.gate, x);

    convolve(weights.kernel, run.window, channels, run.threads);
    for_each_row_block(channels.rows(), run.threads, [&](Eigen::Index first, Eigen::Index rows) {
        for (Eigen::Index r = first; r < first + rows; ++r)
            for (std::size_t h = 0; h < 2 * net.key_heads; ++h)
                scale_to_length(row(channels, r).subspan(h * net.head_size, net.head_size), epsilon,
                                h < net.key_heads ? 1.0 / std::sqrt(static_cast<double>(net.head_size)) : 1.0);
    });

    const std::size_t windows = static_cast<std::size_t>(x.rows()) / run.window;
    parallel_for(windows * net.value_heads, run.threads, [&](std::size_t i) {
        const std::size_t head = i % net.value_heads;
        const std::size_t key_head =
            net.order == head_order::tiled ? head % net.key_heads : head / (net.value_heads / net.key_heads);
        const Eigen::Index query_column = static_cast<Eigen::Index>(key_head) * size;
        const Eigen::Index key_column = query_column + keys * size;
        const std::size_t value_column = (2 * net.key_heads + head) * net.head_size;
        const auto start = static_cast<Eigen::Index>(i / net.value_heads * run.window);
        delta_state state(size);
        for (Eigen::Index t = start; t < start + static_cast<Eigen::Index>(run.window); ++t) {
            const std::span<float> value = row(channels, t).subspan(value_column, net.head_size);
            const double slope = decays(t, static_cast<Eigen::Index>(head)) + weights.decay_bias[head];
            const double softplus = std::max(slope, 0.0) + std::log1p(std::exp(-std::abs(slope)));
            const auto decay = static_cast<float>(std::exp(double{weights.decay_scale[head]} * softplus));
            state.step(channels.row(t).segment(query_column, size), channels.row(t).segment(key_column, size), decay,
                       sigmoid(rates(t, static_cast<Eigen::Index>(head))), value);
            rms_norm(value, weights.head_norm, epsilon, value);
            float* gated = row(x, t).subspan(head * net.head_size).data();
            for (std::size_t c = 0; c < net.head_size; ++c) gated[c] *= sigmoid(gated[c]) * value[c];
        }
    });
}

}  // namespace detail

/// The step from normed hidden states to what the heads yield (V x d).
template <tensor_source Source>
[[nodiscard]] std::vector<layer_step> mixer_steps(const layer_run<Source>& run, const delta_net_weights& weights,
                                                  const row_tiles&) {
    step_input input{0, run.spec.width, {}};
    for (const auto* slices : {&weights.channels, &weights.gate, &weights.rate, &weights.decay})
        for (const linear& slice : *slices) input.layers.push_back(&slice);
    const delta_net_spec& net = run.spec.delta_net;
    return {{{std::move(input)}, net.value_heads * net.head_size, [&run, &weights](std::size_t, matrix& x) {
                 detail::mix(run, weights, x);
             }}};
}

}  // namespace tessera::decoder
