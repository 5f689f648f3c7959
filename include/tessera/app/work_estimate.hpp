// How long work will take on this machine.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string_view>
#include <vector>

#include "tessera/app/listener.hpp"
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
};

namespace detail {

// Seconds that f takes, the best of a few times.
template <class Function>
[[nodiscard]] double best_seconds(Function&& f) {
    double best = 1e30;
    for (int turn = 0; turn < 3; ++turn) {
        const auto started = std::chrono::steady_clock::now();
        f();
        best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count());
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
    constexpr std::size_t tokens = 512, columns = 512, rows = 512;
    memory_source weights;
    weights.add("weight", {columns, rows}, detail::some_numbers(columns * rows));
    const decoder::linear layer{weights.find("weight"), 0, rows, {}};
    const std::vector<float> numbers = detail::some_numbers(tokens * columns);
    const decoder::matrix x = Eigen::Map<const decoder::matrix>(numbers.data(), tokens, columns);
    machine_speed speed{};
    decoder::matrix y(tokens, rows);
    speed.products =
        2.0 * tokens * columns * rows / detail::best_seconds([&] { decoder::project(weights, layer, x, y, threads); });
    column_statistics moments;
    speed.moments = 1.0 * tokens * columns * columns / detail::best_seconds([&] { add_gram(moments, x, threads); });
    const auto factor = [&] { return gram_factor(moments.gram, 3 * tokens, {.threads = threads}); };
    speed.factors = 1.0 * columns * columns * columns / detail::best_seconds([&] { static_cast<void>(factor()); });

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
    speed.fed_back = model_work::feedback_widening(columns) * encode(error_feedback{});
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

/// Tells a listener the stages that lie ahead, with the seconds that they will take at this machine's speed.
template <class = void>
void plan_stages(const listener& listener, int threads, std::span<const stage_cost> stages) {
    if (!listener.planned) return;
    const machine_speed& speed = speed_here(threads);
    std::vector<planned_stage> planned;
    for (const stage_cost& stage : stages) planned.push_back({stage.name, speed.seconds(stage.cost)});
    listener.plan(planned);
}
template <class = void>
void plan_stages(const listener& listener, int threads, std::initializer_list<stage_cost> stages) {
    plan_stages(listener, threads, std::span(stages.begin(), stages.size()));
}

}  // namespace tessera::app
