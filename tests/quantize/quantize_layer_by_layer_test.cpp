// Error feedback on the outputs of quantized layers: their error is compensated, everything is written once.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <Eigen/Cholesky>

#include "decoder/tiny_model.hpp"
#include "tessera/app/work_cost.hpp"
#include "tessera/calibrate/compensation.hpp"
#include "tessera/core/function_ref.hpp"
#include "tessera/core/parallel.hpp"
#include "tessera/core/stop.hpp"
#include "tessera/decoder/activations.hpp"
#include "tessera/decoder/model.hpp"
#include "tessera/decoder/tile_memory.hpp"
#include "tessera/encode/best_of.hpp"
#include "tessera/encode/cholesky.hpp"
#include "tessera/encode/error_feedback.hpp"
#include "tessera/encode/output_error.hpp"
#include "tessera/format/legacy_quants.hpp"
#include "tessera/format/plain.hpp"
#include "tessera/quantize/correction.hpp"
#include "tessera/quantize/from_quantized_inputs.hpp"
#include "tessera/quantize/from_text.hpp"
#include "tessera/quantize/quantize.hpp"
#include "tessera/select/strategies.hpp"

namespace {

using namespace tessera;
using support::tiny_shape;

using few_formats = format_list<f32, f16, q4_0>;  // to compile fast
constexpr std::size_t tokens_in_window = 16;

tiny_shape small_shape(std::size_t experts = 0, std::uint32_t seed = 1) {
    return {.layers = 3,
            .width = 32,
            .head_size = 16,
            .feed_forward = 64,
            .experts = experts,
            .experts_used = experts == 0 ? 0u : 2u,
            .seed = seed};
}

struct encoded_model {
    memory_sink sink;
    std::vector<tensor_report> reports;
};

// All in Q4_0, from a text of which a quarter is held out.
encoded_model quantized(const memory_source& model, std::span<const std::int32_t> tokens, bool layer_by_layer,
                        int threads = 2, decoder::tile_memory* memory = nullptr) {
    const select::plan plan =
        select::make_plan(model.tensors(), select::uniform{*few_formats::find(type_id::q4_0)}, few_formats::layouts);
    const std::size_t windows = tokens.size() / tokens_in_window;
    const std::size_t used = std::max<std::size_t>(1, windows * 3 / 4) * tokens_in_window;
    const auto part = [&](std::span<const std::int32_t> of) {
        return token_windows({of.begin(), of.end()}, tokens_in_window);
    };
    divided_windows text{part(tokens.first(used))};
    if (windows > 1) text.held_out = part(tokens.subspan(used));
    const best_of encoder{weighted{}, error_feedback{}};
    encoded_model result;
    const auto run = [&](const auto& schedule) {
        return quantize<few_formats>(model, plan, encoder, schedule, result.sink, model.metadata(),
                                     {.threads = threads});
    };
    result.reports = layer_by_layer ? run(from_quantized_inputs{text, {}, memory}) : run(from_text{text, {}, memory});
    return result;
}

memory_source decoded(const memory_sink& sink) {
    memory_source model;
    for (const tensor_info& info : sink.tensors()) {
        std::vector<float> values(info.weights());
        sink.read(info, 0, info.rows(), values);
        model.add(info.name, std::span(info.dims).first(info.rank), std::move(values));
    }
    model.metadata() = sink.metadata();
    return model;
}

decoder::matrix hidden(const memory_source& source, std::span<const std::int32_t> tokens) {
    const decoder::model<memory_source> decoder(source);
    decoder::activations state = decoder.embed({{tokens.begin(), tokens.end()}, tokens_in_window});
    decoder.run(state);
    return all_rows(state);
}

bool same_bytes(const memory_sink& a, const memory_sink& b) {
    return std::ranges::equal(a.tensors(), b.tensors(), [&](const tensor_info& x, const tensor_info& y) {
        return x.name == y.name && std::ranges::equal(a.packed(x, 0, x.rows()), b.packed(y, 0, y.rows()));
    });
}

}  // namespace

TEST_CASE("moved weights compensate the error of their inputs") {
    std::mt19937 random(3);
    std::normal_distribution<float> normal;
    const auto noise = [&](Eigen::Index rows, Eigen::Index columns) {
        return decoder::matrix(decoder::matrix::NullaryExpr(rows, columns, [&] { return normal(random); }));
    };
    const Eigen::Index columns = 160;  // more than one tile
    const decoder::matrix mixing = noise(columns, columns);
    const decoder::matrix loss = decoder::matrix::Identity(columns, columns) + 0.02f * noise(columns, columns);
    const decoder::matrix x = noise(1000, columns) * mixing, z = x * loss + 0.01f * noise(1000, columns);

    const auto compensated = [&](const decoder::matrix& from, Eigen::Index used) {
        const decoder::matrix seen = from.topRows(used);
        decoder::matrix gram = seen.transpose() * seen;
        for (Eigen::Index r = 0; r < columns; ++r)
            for (Eigen::Index c = 0; c < r; ++c) gram(r, c) = gram(c, r);
        const decoder::matrix before = gram;
        decoder::matrix all;
        for (const Eigen::Index tile : {from.rows(), Eigen::Index{300}}) {  // whole, and in tiles: of one size but one
            const auto tiles_of = [&](const decoder::matrix& m) {
                return [&m, tile](std::size_t i, decoder::matrix& buffer) -> const decoder::matrix& {
                    const Eigen::Index first = static_cast<Eigen::Index>(i) * tile;
                    buffer = m.middleRows(first, std::min(tile, m.rows() - first));
                    return buffer;
                };
            };
            const auto read_x = tiles_of(x), read_z = tiles_of(from);
            const auto rows = static_cast<std::size_t>(from.rows()), wide = static_cast<std::size_t>(columns);
            const decoder::input_tiles original(read_x, rows, static_cast<std::size_t>(tile), 0, wide);
            const decoder::input_tiles seen_now(read_z, rows, static_cast<std::size_t>(tile), 0, wide);
            decoder::matrix move = tessera::compensation(original, seen_now, used, gram, 1e-4, 2);
            CHECK(gram == before);
            if (all.size() > 0) CHECK((move - all).norm() < 1e-3f * all.norm());
            all = std::move(move);
        }
        return all;
    };
    const decoder::matrix move = compensated(z, 900);
    REQUIRE(move.rows() == columns);
    const decoder::matrix weights = noise(5, columns), moved = weights + weights * move;
    const decoder::matrix fresh = noise(200, columns) * mixing, changed = fresh * loss;
    const float before = (changed * weights.transpose() - fresh * weights.transpose()).norm();
    CHECK((changed * moved.transpose() - fresh * weights.transpose()).norm() < 0.2f * before);

    const decoder::matrix unrelated =
        x + 0.3f * noise(1000, columns);  // nothing to learn, and too few rows to see that
    CHECK(compensated(unrelated, 90).size() == 0);
    CHECK(compensated(decoder::matrix::Zero(1000, columns), 900).size() == 0);
}

TEST_CASE("damped moments are solved in panels as in one piece, and stop between them") {
    const Eigen::Index columns = 600;  // more than two panels
    std::mt19937 random(5);
    std::normal_distribution<float> normal;
    const auto noise = [&](Eigen::Index rows) {
        return decoder::matrix(decoder::matrix::NullaryExpr(rows, columns, [&] { return normal(random); }));
    };
    const decoder::matrix inputs = noise(900);
    decoder::matrix gram = inputs.transpose() * inputs;
    gram.triangularView<Eigen::StrictlyLower>() = gram.transpose();
    const decoder::matrix before = gram, right = noise(columns);
    decoder::matrix damped = gram;
    damped.diagonal().array() += 30.0f;
    const decoder::matrix wanted = damped.llt().solve(right);
    decoder::matrix got = right;
    REQUIRE(tessera::detail::solve_damped(gram, 30.0f, got, 2));
    CHECK(gram == before);
    CHECK((got - wanted).norm() < 1e-4f * wanted.norm());
    CHECK_FALSE(tessera::detail::solve_damped(gram, -1e6f, got, 2));
    CHECK(gram == before);

    // Wherever it is asked to stop, nothing further is begun.
    std::size_t begun = 0, stop_at = 0;
    const auto count_items = [&](std::size_t count, function_ref<void(std::size_t)> body) {
        for (std::size_t i = 0; i < count; ++i) {
            if (++begun == stop_at) request_stop();
            body(i);
        }
    };
    const loop_runner runner(count_items);
    watch_loops(&runner);
    got = right;
    REQUIRE(tessera::detail::solve_damped(gram, 30.0f, got, 1));
    const std::size_t all = begun;
    CHECK(all > 20);
    for (stop_at = 1; stop_at <= all; stop_at += 7) {
        begun = 0;
        decoder::matrix square = before;
        got = right;
        CHECK_THROWS_AS((void)tessera::detail::solve_damped(square, 30.0f, got, 1), stopped);
        CHECK(begun == stop_at);
        withdraw_stop();
    }
    watch_loops(nullptr);

    // Serial products look, too.
    request_stop();
    std::vector<float> rows(static_cast<std::size_t>(2 * columns), 1.0f);
    const matrix_view moves({before.data(), static_cast<std::size_t>(before.size())},
                            static_cast<std::size_t>(columns));
    CHECK_THROWS_AS(correct({rows, static_cast<std::size_t>(columns)}, moves), stopped);
    CHECK_THROWS_AS((void)energy_of({rows, static_cast<std::size_t>(columns)}, moves), stopped);
    CHECK_THROWS_AS(tessera::detail::solve(damped, got, 1), stopped);
    withdraw_stop();
    CHECK(rows == std::vector<float>(rows.size(), 1.0f));
}

TEST_CASE("layers calibrated on quantized inputs lose less") {
    double with = 0, without = 0;
    for (const std::uint32_t seed : {1u, 2u, 3u}) {
        const tiny_shape shape = small_shape(0, seed);
        const memory_source model = support::make_tiny_model(shape);
        const auto tokens = support::random_tokens(tokens_in_window * 64, shape.vocabulary);
        const auto fresh = support::random_tokens(tokens_in_window * 16, shape.vocabulary, 99);
        const decoder::matrix wanted = hidden(model, fresh);
        with +=
            static_cast<double>((hidden(decoded(quantized(model, tokens, true).sink), fresh) - wanted).squaredNorm());
        without +=
            static_cast<double>((hidden(decoded(quantized(model, tokens, false).sink), fresh) - wanted).squaredNorm());
    }
    CAPTURE(with / without);
    CHECK(with < 0.85 * without);
}

TEST_CASE("every matrix is encoded once, whatever the threads") {
    for (const std::size_t experts : {0, 40}) {  // one window does not reach 40
        CAPTURE(experts);
        const tiny_shape shape = small_shape(experts);
        const memory_source model = support::make_tiny_model(shape);
        const auto tokens = support::random_tokens(tokens_in_window * (experts == 0 ? 8 : 1), shape.vocabulary);
        const encoded_model made = quantized(model, tokens, true, 1);
        for (std::size_t t = 0; t < made.reports.size(); ++t) {
            const tensor_info& info = made.sink.tensors()[t];
            CAPTURE(info.name);
            CHECK(made.reports[t].matrices("feedback") + made.reports[t].matrices("weighted") ==
                  (info.type() == type_id::q4_0 ? info.dims[2] : 0));
        }
        CHECK(same_bytes(made.sink, quantized(model, tokens, true, 3).sink));
    }
}

TEST_CASE("what is in memory of a text changes no byte") {
    for (const std::size_t experts : {0, 4}) {
        const tiny_shape shape = small_shape(experts);
        const memory_source model = support::make_tiny_model(shape);
        const auto tokens = support::random_tokens(tokens_in_window * 10, shape.vocabulary);
        for (const bool layer_by_layer : {false, true}) {
            const auto in_tiles = [&](std::uint64_t bytes, int threads) {
                decoder::tile_memory memory({.bytes = bytes, .tile_tokens = 3 * tokens_in_window});
                encoded_model made = quantized(model, tokens, layer_by_layer, threads, &memory);
                CHECK((memory.scratch_bytes() > 0) == (bytes < 1u << 30));
                return made;
            };
            const encoded_model wanted = in_tiles(1u << 30, 2);
            CHECK(same_bytes(wanted.sink, in_tiles(0, 1).sink));
            CHECK(same_bytes(wanted.sink, in_tiles(12000, 3).sink));
        }
    }
}

TEST_CASE("what is kept of a text is as much as is foretold") {
    tiny_shape shape = small_shape();
    shape.width = 64;  // as wide as the heads' outputs
    const memory_source model = support::make_tiny_model(shape);
    const auto tokens = support::random_tokens(tokens_in_window * 10, shape.vocabulary);
    const app::model_work work(model.tensors(), model.metadata());
    const auto bytes = [&](double floats) { return floats * static_cast<double>(tokens.size() * sizeof(float)); };
    const auto kept = [&](bool layer_by_layer) {
        decoder::tile_memory memory({.bytes = 0, .tile_tokens = tokens_in_window});
        (void)quantized(model, tokens, layer_by_layer, 2, &memory);
        return static_cast<double>(memory.scratch_bytes());
    };
    CHECK(kept(true) == doctest::Approx(bytes(work.states_and_inputs())).epsilon(0.15));
    CHECK(kept(false) == doctest::Approx(bytes(work.state_and_input())).epsilon(0.15));
}

TEST_CASE("weights that lie on the grid stay there, whatever the error upstream") {
    const tiny_shape shape = small_shape();
    const auto tokens = support::random_tokens(tokens_in_window * 8, shape.vocabulary);
    const memory_source on_grid = decoded(quantized(support::make_tiny_model(shape), tokens, false).sink);
    memory_source mixed;
    for (const tensor_info& info : on_grid.tensors()) {
        std::vector<float> values(info.weights());
        on_grid.read(info, 0, info.rows(), values);
        if (info.name == "blk.0.ffn_up.weight")
            for (std::size_t i = 0; i < values.size(); ++i) values[i] += 0.01f * static_cast<float>(i % 7);
        mixed.add(info.name, std::span(info.dims).first(info.rank), std::move(values));
    }
    mixed.metadata() = on_grid.metadata();
    const encoded_model made = quantized(mixed, tokens, true);
    for (std::size_t t = 0; t < made.reports.size(); ++t) {
        const std::string& name = made.sink.tensors()[t].name;
        CAPTURE(name);
        CHECK((made.reports[t].error.plain.squared_error > 0) == (name == "blk.0.ffn_up.weight"));
    }
}

TEST_CASE("without an error upstream no weight is moved") {
    for (const bool tied : {false, true}) {
        tiny_shape shape = small_shape();
        shape.tied = tied;
        const memory_source model = support::make_tiny_model(shape);
        const auto tokens = support::random_tokens(tokens_in_window * 8, shape.vocabulary);
        const memory_source on_grid = decoded(quantized(model, tokens, false).sink);
        const encoded_model made = quantized(on_grid, tokens, true);
        CHECK(same_bytes(made.sink, quantized(on_grid, tokens, false).sink));
        for (const tensor_report& report : made.reports) CHECK(report.error.plain.squared_error == 0);
    }
}
