// Hugging Face architectures whose tensors are cut, turned around, reordered or packed otherwise in GGUF.
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "huggingface/family.hpp"
#include "huggingface/fused_families.hpp"
#include "huggingface/hybrid_families.hpp"
#include "support/support.hpp"
#include "tessera/encode/encoders.hpp"
#include "tessera/quantize/quantize.hpp"
#include "tessera/tensor/memory.hpp"

using support::model_family;
using support::values;
namespace huggingface = tessera::huggingface;
namespace families = support::families;

TEST_CASE("Llama 4: experts are split and transposed") {
    model_family family = families::llama4();
    family.convert_like("llama4");
    family.break_config();

    family.directory.config["rope_scaling"] = {{"rope_type", "llama3"},
                                               {"factor", 8.0},
                                               {"low_freq_factor", 1.0},
                                               {"high_freq_factor", 4.0},
                                               {"original_max_position_embeddings", 1}};
    family.wanted["rope_freqs.weight"] = values(4, 8.0f);
    family.convert([](const huggingface::model&) {});
}

TEST_CASE("gpt-oss in full precision: gate and up columns alternate") {
    const model_family family = families::gpt_oss();
    family.convert_like("gptoss");
    family.break_config();
}

TEST_CASE("gpt-oss as published: MXFP4 blocks are repacked without loss") {
    families::published_gpt_oss published;
    model_family& family = published.family;
    constexpr std::size_t size = families::published_gpt_oss::size, embedding = model_family::embedding;
    family.convert([&](const huggingface::model& model) {
        // Through the pipeline, to the bytes of a file: a scale, then code j below code j + 16.
        tessera::select::plan plan;
        for (const auto& info : model.tensors()) plan.choices.push_back({.target = info, .source = info.layout});
        tessera::memory_sink sink;
        tessera::quantize(model, plan, tessera::weighted{}, tessera::from_importances{}, sink, model.metadata(),
                          {.threads = 2, .tile_weights = 96});
        for (const std::size_t odd : {0u, 1u}) {
            const auto& info = *sink.find(odd ? "blk.0.ffn_up_exps.weight" : "blk.0.ffn_gate_exps.weight");
            REQUIRE(info.type() == tessera::type_id::mxfp4);
            const tessera::byte_view bytes = sink.packed(info, 0, info.rows());
            std::size_t at = 0;
            for (std::size_t expert = 0; expert < 4; ++expert)
                for (std::size_t row = 0; row < size; ++row)
                    for (std::size_t block = 0; block < embedding / 32; ++block) {
                        const std::size_t first = published.row_of_both(expert, row, odd) * embedding + block * 32;
                        REQUIRE(std::to_integer<int>(bytes[at++]) ==
                                static_cast<unsigned char>(published.both.scales[first / 32]));
                        for (std::size_t j = 0; j < 16; ++j)
                            REQUIRE(std::to_integer<int>(bytes[at++]) ==
                                    published.both.code(first + j) + 16 * published.both.code(first + j + 16));
                    }
            CHECK(at == bytes.size());
        }
        CHECK(model.repacked(*model.find("output.weight"), 0, 1).empty());
    });

    // Scales that do not fit the blocks.
    family.directory.byte_tensors.back().dims = {embedding, 2, 4};
    const support::scratch_dir folder;
    family.directory.write(folder.path());
    CHECK_THROWS_WITH_AS(huggingface::model{folder.path()},
                         doctest::Contains("mlp.experts.down_proj_scales: wanted bytes"), tessera::error);
}

TEST_CASE("DeepSeek V3: kv_b_proj is split into keys and values") {
    model_family family = families::deepseek3();
    family.convert_like("deepseek_v3_yarn");
    family.break_config();

    family.directory.add("model.layers.4.eh_proj.weight", {2 * model_family::embedding, model_family::embedding});
    const support::scratch_dir folder;
    family.directory.write(folder.path());
    CHECK_THROWS_WITH_AS(huggingface::model{folder.path()}, doctest::Contains("tensor model.layers.4.eh_proj.weight"),
                         tessera::error);
    family.directory.remove("model.layers.4.eh_proj.weight");
    family.directory.config["scoring_func"] = "noise";
    family.directory.write(folder.path());
    CHECK_THROWS_WITH_AS(huggingface::model{folder.path()},
                         doctest::Contains("scoring_func: wanted softmax or sigmoid"), tessera::error);
}

TEST_CASE("Youtu: DeepSeek's attention without experts; GLM 4.7 Flash: with a layer for multi-token prediction") {
    families::youtu().convert([](const huggingface::model& model) {
        const auto& keys = model.metadata();
        CHECK(keys.require<std::string>("general.architecture") == "deepseek2");
        CHECK(keys.require<std::uint32_t>("deepseek2.leading_dense_block_count") == 2);
        CHECK(keys.require<std::uint32_t>("deepseek2.expert_feed_forward_length") == 48);
        CHECK(keys.require<std::uint32_t>("deepseek2.expert_shared_count") == 0);
        CHECK(!keys.contains("deepseek2.expert_count"));
    });
    families::glm4moe_lite().convert([](const huggingface::model& model) {
        const auto& keys = model.metadata();
        CHECK(keys.require<std::string>("general.architecture") == "deepseek2");
        CHECK(keys.require<std::uint32_t>("deepseek2.block_count") == 4);
        CHECK(keys.require<std::uint32_t>("deepseek2.nextn_predict_layers") == 1);
        CHECK(keys.require<std::uint32_t>("deepseek2.expert_gating_func") == 2);
        CHECK(keys.require<bool>("deepseek2.expert_weights_norm"));
    });
}

TEST_CASE("DeepSeek V2 Lite: queries of full rank") { families::deepseek2(27).convert_like("deepseek_v2lite_yarn"); }

TEST_CASE("Qwen3-Next: the fused projections of linear attention are split") {
    const model_family family = families::qwen3next();
    family.convert_like("qwen3next");
    family.break_config();
}

TEST_CASE("Qwen3.5, dense and with experts: value heads are interleaved") {
    for (const bool has_experts : {false, true}) {
        CAPTURE(has_experts);
        model_family family = families::qwen35(has_experts);
        family.convert_like(has_experts ? "qwen35moe" : "qwen35");
        if (!has_experts) family.break_config();

        families::add_mtp_layer(family, has_experts);
        family.convert([&](const huggingface::model& model) {
            const std::string architecture = has_experts ? "qwen35moe" : "qwen35";
            CHECK(model.metadata().require<std::uint32_t>(architecture + ".block_count") == 5);
            CHECK(model.metadata().require<std::uint32_t>(architecture + ".nextn_predict_layers") == 1);
        });
    }
}
