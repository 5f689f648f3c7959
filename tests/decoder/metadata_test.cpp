// What metadata say of an architecture where the small models of the golden set do not say it.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "support/support.hpp"
#include "tessera/core/metadata.hpp"
#include "tessera/decoder/model_metadata.hpp"

namespace {

using namespace tessera;

metadata sized(const std::string& architecture, std::uint32_t blocks, std::uint32_t vocabulary) {
    metadata keys;
    keys.set("general.architecture", architecture);
    const std::string prefix = architecture + ".";
    keys.set(prefix + "block_count", blocks);
    keys.set(prefix + "context_length", std::uint32_t{64});
    keys.set(prefix + "embedding_length", std::uint32_t{32});
    keys.set(prefix + "feed_forward_length", std::uint32_t{48});
    keys.set(prefix + "attention.head_count", std::uint32_t{4});
    keys.set(prefix + "attention.layer_norm_rms_epsilon", 1e-5f);
    keys.set(prefix + "vocab_size", vocabulary);
    return keys;
}

metadata latent(std::uint32_t blocks, std::uint32_t vocabulary) {
    metadata keys = sized("deepseek2", blocks, vocabulary);
    keys.set("deepseek2.attention.kv_lora_rank", std::uint32_t{16});
    keys.set("deepseek2.attention.head_count_kv", std::uint32_t{1});
    keys.set("deepseek2.attention.key_length", std::uint32_t{24});
    keys.set("deepseek2.attention.value_length", std::uint32_t{16});
    keys.set("deepseek2.attention.key_length_mla", std::uint32_t{20});
    keys.set("deepseek2.attention.value_length_mla", std::uint32_t{10});
    keys.set("deepseek2.rope.dimension_count", std::uint32_t{8});
    keys.set("deepseek2.expert_count", std::uint32_t{8});
    keys.set("deepseek2.expert_used_count", std::uint32_t{2});
    keys.set("deepseek2.expert_feed_forward_length", std::uint32_t{16});
    keys.set("deepseek2.expert_shared_count", std::uint32_t{1});
    return keys;
}

}  // namespace

TEST_CASE("deepseek2 without a gating function: sigmoid in models of the size of GLM 4.7 Flash") {
    const auto gating = [](const metadata& keys) { return decoder::make_model_spec(keys).experts.gating; };
    using decoder::expert_gating;
    CHECK(gating(latent(47, 154880)) == expert_gating::sigmoid);
    CHECK(gating(latent(48, 154880)) == expert_gating::sigmoid);
    CHECK(gating(latent(46, 154880)) == expert_gating::softmax);
    CHECK(gating(latent(49, 154880)) == expert_gating::softmax);
    CHECK(gating(latent(47, 129280)) == expert_gating::softmax);
    metadata keys = latent(49, 154880);  // layers for multi-token prediction do not count
    keys.set("deepseek2.nextn_predict_layers", std::uint32_t{1});
    CHECK(gating(keys) == expert_gating::sigmoid);
    keys.set("deepseek2.expert_gating_func", std::uint32_t{1});
    CHECK(gating(keys) == expert_gating::softmax);
}

TEST_CASE("deepseek2: attention temperature, and YaRN with and without a log multiplier") {
    metadata keys = latent(3, 40);
    CHECK(decoder::make_model_spec(keys).global.temperature.step == 0);
    keys.set("deepseek2.attention.temperature_scale", 0.25f);
    CHECK_THROWS_WITH_AS(static_cast<void>(decoder::make_model_spec(keys)),
                         doctest::Contains("attention.temperature_length"), error);
    keys.set("deepseek2.attention.temperature_length", std::uint32_t{16});
    const decoder::attention_temperature temperature = decoder::make_model_spec(keys).global.temperature;
    CHECK(temperature.step == 16);
    CHECK(temperature.offset == 0);
    CHECK(temperature.weight == 0.25);

    const double plain = 1 / std::sqrt(20.0), grown = 0.1 * std::log(4.0) + 1;
    keys.set("deepseek2.rope.scaling.type", std::string("yarn"));
    keys.set("deepseek2.rope.scaling.factor", 4.0f);
    decoder::model_spec spec = decoder::make_model_spec(keys);
    CHECK(spec.global.rope.magnitude == doctest::Approx(grown));
    CHECK(spec.attention_scale == doctest::Approx(plain * grown * grown));
    keys.set("deepseek2.rope.scaling.yarn_log_multiplier", 0.1f);
    spec = decoder::make_model_spec(keys);
    CHECK(spec.global.rope.magnitude == 1);
    CHECK(spec.attention_scale == doctest::Approx(plain * grown * grown));
}

TEST_CASE(
    "a factor of rotated numbers counts in every architecture and in every layer; llama has no scale of its own") {
    metadata keys = sized("llama", 2, 40);
    keys.set("llama.attention.scale", 0.7f);
    keys.set("llama.rope.scaling.attn_factor", 1.5f);
    decoder::model_spec spec = decoder::make_model_spec(keys);
    CHECK(spec.attention_scale == doctest::Approx(1 / std::sqrt(8.0)));
    CHECK(spec.global.rope.magnitude == 1.5);
    keys.set("llama.rope.scaling.type", std::string("yarn"));
    keys.set("llama.rope.scaling.factor", 8.0f);
    CHECK(decoder::make_model_spec(keys).global.rope.magnitude == doctest::Approx(1.5 * (0.1 * std::log(8.0) + 1)));
    keys = sized("gemma3", 6, 40);
    keys.set("gemma3.rope.scaling.attn_factor", 1.5f);
    CHECK(decoder::make_model_spec(keys).local.rope.magnitude == 1.5);
}

TEST_CASE("the width of dense networks is needed where there are some") {
    metadata keys = sized("qwen3moe", 2, 40);
    keys.erase("qwen3moe.feed_forward_length");  // as Qwen3.5's configurations have none
    keys.set("qwen3moe.expert_count", std::uint32_t{4});
    keys.set("qwen3moe.expert_used_count", std::uint32_t{2});
    keys.set("qwen3moe.expert_feed_forward_length", std::uint32_t{16});
    CHECK(decoder::make_model_spec(keys).experts.feed_forward == 16);
    keys.set("qwen3moe.leading_dense_block_count", std::uint32_t{1});
    CHECK_THROWS_WITH_AS(static_cast<void>(decoder::make_model_spec(keys)),
                         "metadata key qwen3moe.feed_forward_length: wanted an integer, got nothing", error);
}

TEST_CASE("the period of layers with global attention: a number counts, a list is passed over") {
    metadata keys = sized("gemma3", 6, 40);
    keys.set("gemma3.attention.sliding_window", std::uint32_t{4});
    const auto full_layers = [&] {
        std::vector<std::size_t> full;
        const decoder::model_spec spec = decoder::make_model_spec(keys);
        for (std::size_t l = 0; l < spec.layers.size(); ++l)
            if (spec.layers[l].mixer == decoder::mixer_kind::attention) full.push_back(l);
        return full;
    };
    CHECK(full_layers() == std::vector<std::size_t>{5});
    keys.set("gemma3.attention.sliding_window_pattern", std::uint32_t{3});
    CHECK(full_layers() == std::vector<std::size_t>{2, 5});
    keys.set("gemma3.attention.sliding_window_pattern", std::vector<bool>{true, false, true, false, true, false});
    CHECK(full_layers() == std::vector<std::size_t>{5});
    keys.set("gemma3.attention.sliding_window_pattern", std::vector<std::int32_t>{1, 0, 1, 0, 1, 0});
    CHECK(full_layers() == std::vector<std::size_t>{5});
    keys.set("gemma3.attention.sliding_window_pattern", std::string("3"));
    CHECK_THROWS_AS(full_layers(), error);
}
