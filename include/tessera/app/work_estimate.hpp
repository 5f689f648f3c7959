// How long work will take on this machine.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "tessera/app/disk_space.hpp"
#include "tessera/app/memory.hpp"
#include "tessera/app/work_cost.hpp"
#include "tessera/calibrate/column_statistics.hpp"
#include "tessera/core/parallel.hpp"
#include "tessera/decoder/linear.hpp"
#include "tessera/decoder/matrix.hpp"
#include "tessera/encode/encoders.hpp"
#include "tessera/encode/error_feedback.hpp"
#include "tessera/encode/gram_factor.hpp"
#include "tessera/encode/knowledge.hpp"
#include "tessera/format/k_quants.hpp"
#include "tessera/measure/kl_divergence.hpp"
#include "tessera/tensor/memory.hpp"

namespace tessera::app {

/// Amounts of work_cost that are done in a second.
struct machine_speed {
    double products, moments, factors, searched, fed_back, compared;

    [[nodiscard]] double seconds(const work_cost& cost) const noexcept {
        return cost.products / products + cost.moments / moments + cost.factors / factors + cost.searched / searched +
               cost.fed_back / fed_back + cost.compared / compared + all_formats * cost.tried / searched;
    }

private:
    // What trying every format on a weight costs, in weights of one common format.
    static constexpr double all_formats = 30;
};

/// A stage of a verb, and what it computes.
struct stage_cost {
    std::string_view name;
    work_cost cost;
    std::optional<memory_stage> runs{};  ///< whether the model runs, and for what
    std::uint64_t encoded_bytes = 0;     ///< of packed tensors that are in memory meanwhile
    double floats_at_rest = 0;           ///< activations that are kept, most of them
    double kept_bytes = 0;               ///< in the folder of unfinished work
    std::uint64_t written_bytes = 0;     ///< of the output
    byte_bound written = byte_bound::expected;
    double done = 0;  ///< the share that an earlier run has left; 1: all

    [[nodiscard]] double seconds_left(const machine_speed& speed) const noexcept {
        return (1 - done) * speed.seconds(cost);
    }
};

/// The share of a stage that is done when so many of its parts are. Its end never is.
[[nodiscard]] inline double share_done(double parts, double all) noexcept {
    return all > 0 ? std::min(parts / all, 0.99) : 0.0;
}

/// Runs a text through a model. States of two layers are on disk for a moment.
[[nodiscard]] inline stage_cost calibrating(const model_work& model, double tokens, double window) {
    return {.name = "calibrate",
            .cost = model.forward(tokens, window),
            .runs = memory_stage::running,
            .floats_at_rest = tokens * model.width(),
            .kept_bytes = 2 * sizeof(float) * tokens * model.width()};
}

/// Measures so many plans; `trial` bytes of packed tensors are in memory.
[[nodiscard]] inline stage_cost measuring_plans(std::string_view name, const model_work& model, double tokens,
                                                double window, std::size_t passes, std::uint64_t trial) {
    return {.name = name,
            .cost = model.plans(tokens, window, static_cast<double>(passes)),
            .runs = memory_stage::measuring,
            .encoded_bytes = trial,
            .floats_at_rest = 2 * tokens * model.width()};
}

namespace detail {

// Seconds that f takes: the best of three times at least, and of as many as fit into a moment, since other work on the
// machine only ever makes it longer.
template <class Function>
[[nodiscard]] double best_seconds(Function&& f) {
    constexpr double moment = 0.015;
    double best = 1e30, sum = 0;
    for (int turn = 0; turn < 3 || sum < moment; ++turn) {
        const auto started = std::chrono::steady_clock::now();
        f();
        const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
        best = std::min(best, seconds);
        sum += std::max(seconds, 1e-6);
    }
    return std::max(best, 1e-9);
}

// Numbers about zero that are the same everywhere.
[[nodiscard]] inline std::vector<float> some_numbers(std::size_t count) {
    std::vector<float> numbers(count);
    std::uint32_t state = 1;
    for (float& number : numbers) {
        state = state * 1664525u + 1013904223u;
        number = static_cast<float>(state >> 8) * 0x1p-23f - 1.0f;
    }
    return numbers;
}

}  // namespace detail

/// Measures a little of each kind of work; takes a tenth of a second.
template <class = void>
[[nodiscard]] machine_speed measure_speed(int threads) {
    constexpr std::size_t tokens = 512, columns = 512;
    // Products by as many tokens as real work has at a time: weights are decoded once for all of them.
    constexpr std::size_t many = 2048, rows = 1024;
    memory_source weights;
    weights.add("weight", {columns, rows}, detail::some_numbers(columns * rows));
    const decoder::linear layer{weights.find("weight"), 0, rows, {}};
    const std::vector<float> numbers = detail::some_numbers(many * columns);
    const decoder::matrix all = Eigen::Map<const decoder::matrix>(numbers.data(), many, columns);
    const decoder::matrix x = all.topRows(tokens);
    machine_speed speed{};
    decoder::matrix y(many, rows);
    speed.products =
        2.0 * many * columns * rows / detail::best_seconds([&] { decoder::project(weights, layer, all, y, threads); });
    column_statistics moments;
    speed.moments = 1.0 * tokens * columns * columns / detail::best_seconds([&] { add_gram(moments, x, threads); });
    const auto factor = [&] { return gram_factor(moments.gram, 3 * tokens, {.threads = threads}); };
    // What a factor takes beside its products, which run as those of moments do.
    const double of_factor = detail::best_seconds([&] { static_cast<void>(factor()); });
    constexpr double decomposed = columns * columns * columns / 3.0;
    speed.factors = columns * columns / std::max(of_factor - decomposed / speed.moments, of_factor / 4);

    // What threads do side by side without waiting for each other is measured on one.
    const double team = thread_count(threads);
    const gram_factor known_factor = factor();
    const matrix_knowledge known{
        .importance = known_factor.importance(), .tokens = 3 * tokens, .factor = &known_factor};
    const auto encode = [&](const auto& encoder) {
        constexpr std::size_t tile_rows = 64, tile_weights = tile_rows * columns;
        std::vector<q4_k::block> blocks(tile_weights / q4_k::block_size);
        const matrix_view tile{std::span(numbers).first(tile_weights), columns};
        return team * tile_weights / detail::best_seconds([&] { encode_rows<q4_k>(encoder, tile, known, blocks); });
    };
    speed.searched = encode(weighted{});
    const double of_weight = 1.0 / encode(error_feedback{});
    speed.fed_back = 1.0 / std::max(of_weight - columns / speed.products, of_weight / 4);
    constexpr std::size_t vocabulary = 32768;
    kl_divergence divergence;
    speed.compared = team * vocabulary / detail::best_seconds([&] {
                         divergence.add(std::span(numbers).first(vocabulary), std::span(numbers).last(vocabulary), 0);
                     });
    return speed;
}

/// This machine's speed, measured the first time.
template <class = void>
[[nodiscard]] const machine_speed& speed_here(int threads) {
    static const machine_speed speed = measure_speed(threads);
    return speed;
}

/// One that is slower than those of today.
inline constexpr machine_speed slow_machine{
    .products = 1e10, .moments = 5e9, .factors = 5e6, .searched = 5e5, .fed_back = 5e5, .compared = 5e7};

/// The speed to foretell stages at: this machine's, or, where even a slow one needs only a moment for them, that of a
/// slow one, since measuring takes a moment, too.
template <class = void>
[[nodiscard]] const machine_speed& speed_for(std::span<const stage_cost> stages, int threads) {
    double seconds = 0;
    for (const stage_cost& stage : stages) seconds += stage.seconds_left(slow_machine);
    return seconds < 2 ? slow_machine : speed_here(threads);
}

}  // namespace tessera::app
