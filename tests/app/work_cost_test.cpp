// What long work costs, foretold.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "tessera/app/calibrate.hpp"
#include "tessera/app/evaluate.hpp"
#include "tessera/app/forecast.hpp"
#include "tessera/app/work_cost.hpp"
#include "tessera/app/work_estimate.hpp"
#include "tessera/core/error.hpp"
#include "tessera/tensor/memory.hpp"

using namespace tessera;

namespace {

// Two layers of width 64 with two heads and a network of 128; of experts, 4 of which every token meets 1.
memory_source some_model(bool has_experts) {
    memory_source model;
    const auto add = [&](const std::string& name, std::initializer_list<std::uint64_t> dims) {
        std::uint64_t weights = 1;
        for (const std::uint64_t d : dims) weights *= d;
        model.add(name, dims, std::vector<float>(weights, 0.5f));
    };
    const std::string architecture = has_experts ? "qwen3moe" : "llama";
    model.metadata().set("general.architecture", architecture);
    const auto set = [&](const char* key, std::uint32_t value) {
        model.metadata().set(architecture + '.' + key, value);
    };
    set("embedding_length", 64);
    set("block_count", 2);
    set("attention.head_count", 2);
    set("attention.head_count_kv", 2);
    set("attention.key_length", 32);
    set("attention.value_length", 32);
    set("feed_forward_length", 128);
    set("context_length", 512);
    set("vocab_size", 96);
    model.metadata().set(architecture + ".attention.layer_norm_rms_epsilon", 1e-5f);
    if (has_experts) {
        set("expert_count", 4);
        set("expert_used_count", 1);
        set("expert_feed_forward_length", 128);
    }
    add("token_embd.weight", {64, 96});
    add("output.weight", {64, 96});
    for (const std::string layer : {"blk.0.", "blk.1."}) {
        add(layer + "attn_norm.weight", {64});
        for (const char* name : {"attn_q", "attn_k", "attn_v", "attn_output"}) add(layer + name + ".weight", {64, 64});
        if (has_experts) {
            for (const char* name : {"ffn_gate_exps", "ffn_up_exps"}) add(layer + name + ".weight", {64, 128, 4});
            add(layer + "ffn_down_exps.weight", {128, 64, 4});
        } else {
            for (const char* name : {"ffn_gate", "ffn_up"}) add(layer + name + ".weight", {64, 128});
            add(layer + "ffn_down.weight", {128, 64});
        }
    }
    return model;
}

}  // namespace

TEST_CASE("cost follows the weights that a token meets") {
    constexpr double tokens = 1000, window = 100;
    constexpr double attention = 2 * 64 * 2 * (window / 2);  // two products, in two layers
    constexpr double layer = 4 * 64 * 64 + 3 * 64 * 128;
    const memory_source dense = some_model(false), experts = some_model(true);
    const app::model_work d(dense.tensors(), dense.metadata()), e(experts.tensors(), experts.metadata());
    CHECK(d.forward(tokens, window).products == doctest::Approx(2 * tokens * (2 * layer + attention)));
    CHECK(e.forward(tokens, window).products == d.forward(tokens, window).products);
    CHECK(d.logits(10).products == doctest::Approx(2 * 10 * 64 * 96));

    // Queries, keys and values share an input, gate and up another.
    const app::work_cost learned = d.feedback(tokens, window);
    constexpr double squares = 3 * 64 * 64 + 128 * 128, cubes = 3 * 64 * 64 * 64 + 128 * 128 * 128;  // of a layer
    CHECK(learned.moments == doctest::Approx(2 * (tokens * squares + cubes / 3)));
    CHECK(learned.factors == doctest::Approx(2 * squares));
    CHECK(learned.fed_back == doctest::Approx(2 * layer));
    CHECK(e.feedback(tokens, window).factors == doctest::Approx(2.0 * (2 * 64 * 64 + 4 * (64 * 64 + 128 * 128))));
    const app::work_cost moved = d.quantized_feedback(tokens, window);
    CHECK(moved.moments == doctest::Approx(learned.moments + 2 * (2.2 * tokens * squares + cubes / 3 + 2 * cubes)));
    CHECK(d.quantized_feedback(tokens, window).products > learned.products + d.forward(tokens, window).products);

    // Three measurements of 16 tensors, each from its place on. Half of the positions are scored.
    constexpr double output = 64 * 96 / 2.0, whole = 2 * layer + output;
    constexpr double passes = 2 + 3 + 21 + 21 * (layer + output) / whole + 3 * output / whole;
    CHECK(d.measuring_passes({}) == doctest::Approx(passes));
    const app::work_cost measured = d.damage(tokens, window, {}, 0);
    CHECK(measured.products ==
          doctest::Approx(passes * (d.forward(tokens, window).products + d.logits(tokens / 2).products)));
    CHECK(measured.compared == doctest::Approx(48 * tokens / 2 * 96));

    // In fewer passes less is done.
    CHECK(d.measuring_passes({.passes = 20}) == 20);
    const app::work_cost few = d.damage(tokens, window, {.passes = 20}, 0);
    CHECK(few.products < 20.0 / passes * measured.products * 1.0001);
    CHECK(few.products > 0.8 * 20.0 / passes * measured.products);
    CHECK(few.compared < measured.compared);
}

TEST_CASE("layers have their shares of a pass") {
    const memory_source model = some_model(false);
    const app::model_work work(model.tensors(), model.metadata());
    CHECK(work.share_of(0) == 0);
    CHECK(work.share_of(1) == doctest::Approx(0.5));
    CHECK(work.share_of(2) == doctest::Approx(1));
    CHECK(work.share_of(99) == doctest::Approx(1));
    CHECK(work.subjects() == 16);
    CHECK(app::share_done(3, 4) == 0.75);
    CHECK(app::share_done(5, 4) < 1);
    CHECK(app::share_done(0, 0) == 0);
}

TEST_CASE("the stages of work that is gone on with take what is left") {
    const memory_source model = some_model(false);
    const app::model_work work(model.tensors(), model.metadata());
    std::vector<app::stage_cost> stages(3, app::calibrating(work, 10000, 100));
    stages[1].done = 0.75;
    stages[2].done = 1;
    const app::machine_speed& speed = app::slow_machine;
    const app::forecast all =
        app::forecast_of(stages, model.tensors(), model.metadata(), {.bytes = 1u << 30}, 100, 1, {}, speed);
    REQUIRE(all.stages.size() == 3);
    CHECK(all.stages[0].seconds == doctest::Approx(speed.seconds(work.forward(10000, 100))));
    CHECK(all.stages[1].seconds == doctest::Approx(0.25 * all.stages[0].seconds));
    CHECK(all.stages[1].memory > 0);
    CHECK(all.stages[2].seconds == 0);
    CHECK(all.stages[2].memory == 0);
    CHECK(all.stages[2].done == 1);
}

TEST_CASE("the tokens that fit into a time follow the window") {
    const memory_source model = some_model(false);
    const app::model_work work(model.tensors(), model.metadata());
    const app::machine_speed& speed = app::slow_machine;
    const auto seconds = [&](std::uint64_t tokens, std::size_t window) {
        return speed.seconds(work.forward(static_cast<double>(tokens), static_cast<double>(window)));
    };
    const double limit = seconds(100'000, 512);
    for (const std::size_t window : {64u, 512u, 4096u}) {
        CAPTURE(window);
        const std::uint64_t tokens = app::detail::tokens_within(limit, 10'000'000, window, work, speed);
        CHECK(seconds(tokens, window) <= limit);
        CHECK(seconds(tokens + 1, window) > limit);
    }
    CHECK(app::detail::tokens_within(limit, 5000, 512, work, speed) == 5000);
    // At least one window.
    CHECK(app::detail::tokens_within(seconds(1u << 15, 1u << 15), 10'000'000, 1u << 15, work, speed) == 1u << 15);
    CHECK_THROWS_WITH_AS((void)app::detail::tokens_within(seconds(1000, 512), 10'000'000, 512, work, speed),
                         doctest::Contains("--time: wanted at least"), error);
}

TEST_CASE("the windows that models are compared on in a time") {
    const memory_source model = some_model(false);
    const app::model_work work(model.tensors(), model.metadata());
    const app::machine_speed& speed = app::slow_machine;
    const auto seconds = [&](double windows, double candidates) {
        const double tokens = 512 * windows;
        return speed.seconds((1 + candidates) * work.forward(tokens, 512) + candidates * work.comparison(tokens));
    };
    const auto within = [&](double limit, std::size_t most, std::size_t candidates) {
        return app::detail::windows_within(limit, most, 512, candidates, work, speed);
    };
    CHECK(within(seconds(40.5, 1), 1000, 1) == 40);
    CHECK(within(seconds(40.5, 3), 1000, 3) == 40);
    CHECK(within(seconds(40.5, 3), 30, 3) == 30);
    CHECK(within(seconds(2.5, 1), 1000, 1) == 2);  // as few as figures are worth something of
    CHECK_THROWS_WITH_AS((void)within(seconds(1.5, 1), 1000, 1), doctest::Contains("--time: wanted at least"), error);
    CHECK(within(seconds(1.5, 1), 1, 1) == 1);  // all there is
}

TEST_CASE("seconds follow from the machine's speed") {
    const app::machine_speed speed = app::measure_speed(1);
    for (const double one :
         {speed.products, speed.moments, speed.factors, speed.searched, speed.fed_back, speed.compared})
        CHECK((std::isfinite(one) && one > 0));
    CHECK(speed.seconds({.products = speed.products, .compared = 2 * speed.compared}) == doctest::Approx(3.0));
}
