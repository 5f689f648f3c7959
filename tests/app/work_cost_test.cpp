// What long work costs, foretold.
#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "tessera/app/work_cost.hpp"
#include "tessera/app/work_estimate.hpp"
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
    CHECK(learned.moments == doctest::Approx(2 * tokens * (3 * 64 * 64 + 128 * 128)));
    CHECK(learned.factors == doctest::Approx(2.0 * (3 * 64 * 64 * 64 + 128 * 128 * 128)));
    CHECK(e.feedback(tokens, window).moments == doctest::Approx(learned.moments));
    CHECK(e.feedback(tokens, window).factors ==
          doctest::Approx(2.0 * (2 * 64 * 64 * 64 + 4 * (64 * 64 * 64 + 128 * 128 * 128))));
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

TEST_CASE("seconds follow from the machine's speed") {
    const app::machine_speed speed = app::measure_speed(1);
    for (const double one :
         {speed.products, speed.moments, speed.factors, speed.searched, speed.fed_back, speed.compared})
        CHECK((std::isfinite(one) && one > 0));
    CHECK(speed.seconds({.products = speed.products, .compared = 2 * speed.compared}) == doctest::Approx(3.0));
}
