// Hugging Face architectures whose tensors stay nearly as they are, each GGUF tensor against what it must become.
#include <cmath>
#include <cstdint>
#include <string>
#include <utility>

#include <doctest/doctest.h>

#include "huggingface/families.hpp"
#include "huggingface/family.hpp"
#include "huggingface/fused_families.hpp"
#include "huggingface/hybrid_families.hpp"
#include "support/support.hpp"

using support::model_family;
namespace huggingface = tessera::huggingface;
namespace families = support::families;

TEST_CASE("Qwen2, with YaRN") {
    const model_family family = families::qwen2_yarn();
    family.convert_like("qwen2_yarn");
    family.break_config();
}

TEST_CASE("Qwen3") { families::qwen3().convert_like("qwen3"); }

TEST_CASE("Qwen2Moe") {
    model_family family = families::qwen2moe();
    family.convert_like("qwen2moe");
    family.break_config();

    family.directory.config.erase("num_experts");
    const support::scratch_dir folder;
    family.directory.write(folder.path());
    CHECK_THROWS_WITH_AS(huggingface::model{folder.path()}, doctest::Contains("num_experts: wanted"), tessera::error);
}

TEST_CASE("Qwen3Moe, with experts in separate tensors and in one") {
    for (const auto form : {families::experts_in::matrices, families::experts_in::one_tensor}) {
        CAPTURE(static_cast<int>(form));
        const model_family family = families::qwen3moe(form);
        family.convert_like("qwen3moe");
        family.break_config();
    }
}

TEST_CASE("Gemma 2: tied unless said otherwise, norms stored less 1") {
    const model_family family = families::gemma2();
    family.convert_like("gemma2");
    family.break_config();
}

TEST_CASE("Gemma 3, by itself and as the text part of a multimodal model") {
    model_family family = families::gemma3();
    family.convert_like("gemma3");
    family.break_config();
    for (const std::string before : {"language_model.model.", "model.language_model."}) {
        const model_family pictured = families::multimodal(family, before);
        pictured.convert_like("gemma3", {"gemma3.attention.layer_norm_rms_epsilon"});
        pictured.convert([](const huggingface::model& model) {
            CHECK(model.metadata().require<std::uint32_t>("tokenizer.ggml.bos_token_id") == 5);
        });
    }

    family.directory.config["rope_local_base_freq"] = 5000.0;
    family.convert([](const huggingface::model& model) {
        CHECK(model.metadata().require<float>("gemma3.rope.freq_base_swa") == 5000.0f);
    });
}

TEST_CASE("Gemma 3: rope_parameters for each kind of layer, as newer configurations have it") {
    model_family family = families::gemma3(1);
    for (const char* key : {"rope_theta", "rope_scaling", "sliding_window"}) family.directory.config.erase(key);
    family.directory.config["rope_parameters"] = {
        {"full_attention", {{"rope_type", "linear"}, {"factor", 8.0}, {"rope_theta", 500000.0}}},
        {"sliding_attention", {{"rope_type", "default"}, {"rope_theta", 20000.0}}}};
    family.convert([](const huggingface::model& model) {
        CHECK(model.metadata().require<float>("gemma3.rope.freq_base") == 500000.0f);
        CHECK(model.metadata().require<float>("gemma3.rope.freq_base_swa") == 20000.0f);
        CHECK(model.metadata().require<float>("gemma3.rope.scaling.factor") == 8.0f);
        CHECK(model.metadata().require<std::uint32_t>("gemma3.attention.sliding_window") == 4096);
    });
}

TEST_CASE("Phi 3: fused projections stay, factors for long and short contexts") {
    model_family family = families::phi3();
    family.convert_like("phi3_long", {"phi3.rope.scaling.attn_factor"});
    family.break_config();
    family.convert([](const huggingface::model& model) {
        CHECK(model.metadata().require<float>("phi3.rope.scaling.attn_factor") ==
              doctest::Approx(std::sqrt(1.0 + std::log(8.0) / std::log(256.0))));
    });

    model_family short_only = family;
    short_only.directory.config["rope_scaling"] = nullptr;
    short_only.directory.config["sliding_window"] = nullptr;
    short_only.wanted.erase("rope_factors_long.weight");
    short_only.wanted.erase("rope_factors_short.weight");
    short_only.convert([](const huggingface::model& model) {
        CHECK(model.metadata().require<std::uint32_t>("phi3.attention.sliding_window") == 0);
        CHECK(!model.metadata().contains("phi3.rope.scaling.attn_factor"));
    });

    family.directory.config["rope_scaling"]["long_factor"] = {1, 2};
    const support::scratch_dir folder;
    family.directory.write(folder.path());
    CHECK_THROWS_WITH_AS(huggingface::model{folder.path()}, doctest::Contains("long_factor: wanted 3 numbers, got 2"),
                         tessera::error);
}

TEST_CASE("GLM 4.5: a dense layer, experts, and a layer for multi-token prediction") {
    const model_family family = families::glm4moe(1);
    family.convert_like("glm4moe");
    family.break_config();

    // A vocabulary with what the tokenizer's files do not tell apart.
    const support::scratch_dir folder;
    family.directory.write(folder.path());
    nlohmann::json tokenizer = nlohmann::json::parse(support::read_text(folder / "tokenizer.json"));
    int id = 20;
    for (const char* text : {"<|endoftext|>", "[gMASK]", "<|user|>", "<|observation|>"})
        tokenizer["added_tokens"].push_back({{"id", id++}, {"content", text}, {"special", true}});
    support::write_text(folder / "tokenizer.json", tokenizer.dump());
    support::write_text(folder / "tokenizer_config.json", R"({"eos_token": "<|endoftext|>", "unk_token": "<unk>"})");
    const huggingface::model model(folder.path());
    const std::pair<const char*, std::uint32_t> roles[] = {
        {"eos", 20}, {"bos", 21}, {"eot", 22}, {"eom", 23}, {"unknown", 0}};
    for (const auto& role : roles) {
        CAPTURE(role.first);
        CHECK(model.metadata().require<std::uint32_t>(std::string("tokenizer.ggml.") + role.first + "_token_id") ==
              role.second);
    }

    // A checkpoint may lack that layer, whatever config.json says.
    families::glm4moe(0).convert([](const huggingface::model& model) {
        CHECK(model.metadata().require<std::uint32_t>("glm4moe.block_count") == 3);
        CHECK(!model.metadata().contains("glm4moe.nextn_predict_layers"));
    });
}

namespace {

// Converts two directories and compares all but the name.
void check_same(const support::model_directory& one, const support::model_directory& other,
                const std::string& note = "") {
    const support::scratch_dir folder, second;
    one.write(folder.path());
    other.write(second.path());
    const huggingface::model model(folder.path()), same(second.path());
    REQUIRE(model.tensors().size() == same.tensors().size());
    for (const auto& info : model.tensors()) {
        CAPTURE(info.name);
        CHECK(support::values_of(model, info.name) == support::values_of(same, info.name));
    }
    for (const tessera::metadata::entry& entry : model.metadata()) {
        CAPTURE(entry.first);
        const auto* own = same.metadata().find(entry.first);
        REQUIRE(own != nullptr);
        if (entry.first != "general.name") CHECK((*own == entry.second));
    }
    CHECK(model.metadata().size() == same.metadata().size());
    if (note.empty()) CHECK(same.notes().size() == model.notes().size());
    for (const std::string& told : same.notes())
        if (!note.empty()) CHECK_MESSAGE(support::has(told, note), told);
}

support::model_directory renamed(support::model_directory directory, const char* name) {
    directory.config["architectures"] = {name};
    return directory;
}

// The same model as the text part of another one: its configuration inside, its tensors' names longer, others around.
support::model_directory as_text_part(const support::model_directory& inner, const char* name,
                                      const std::string& before, const char* model_type) {
    support::model_directory outer;
    nlohmann::json text = inner.config;
    text.erase("architectures");
    text["model_type"] = model_type;
    outer.config = {{"architectures", {name}}, {"text_config", text}, {"vision_config", {{"hidden_size", 7}}}};
    for (const auto& info : inner.weights.tensors())
        outer.weights.add(
            info.name.starts_with("model.") ? before + info.name.substr(6) : "language_model." + info.name,
            std::span(info.dims).first(info.rank), inner.values(info.name));
    for (const char* tower : {"vision_tower.patch.weight", "model.audio_tower.conv.bias", "mm_projector.linear.weight",
                              "multi_modal_projector.linear_1.bias"})
        outer.add(tower, {3});
    return outer;
}

}  // namespace

TEST_CASE("architectures with several names") {
    const support::model_directory llama = support::model_directory::llama(), qwen3 = families::qwen3().directory,
                                   latent = families::deepseek3().directory;
    for (const char* name :
         {"LLaMAForCausalLM", "InternLM3ForCausalLM", "IQuestCoderForCausalLM", "MistralForCausalLM"})
        check_same(llama, renamed(llama, name));
    check_same(families::phi3().directory, renamed(families::phi3().directory, "Phi4ForCausalLMV"));
    const support::model_directory hybrid = families::qwen35(false).directory;
    support::model_directory glm = families::glm4moe(1).directory;
    glm.config["rope_theta"] = 10000.0;  // where the defaults differ
    check_same(glm, renamed(glm, "SolarOpenForCausalLM"));

    const std::string left_out =
        "only the text part is converted: 4 tensors of vision_tower, multi_modal_projector, "
        "mm_projector, model.audio_tower are left out";
    for (const std::string before : {"language_model.model.", "model.language_model."}) {
        CAPTURE(before);
        for (const char* name : {"LlavaForConditionalGeneration", "VoxtralForConditionalGeneration"})
            check_same(llama, as_text_part(llama, name, before, "llama"), left_out);
        check_same(qwen3, as_text_part(qwen3, "StepVLForConditionalGeneration", before, "qwen3"), left_out);
        check_same(hybrid, as_text_part(hybrid, "MiniCPMV4_6ForConditionalGeneration", before, "qwen3_5_text"),
                   left_out);
        check_same(glm, as_text_part(glm, "Glm4vMoeForConditionalGeneration", before, "glm4v_moe_text"), left_out);
        for (const char* name : {"KimiVLForConditionalGeneration", "KimiK25ForConditionalGeneration"})
            check_same(latent, as_text_part(latent, name, before, "kimi_k2"), left_out);
    }
}

TEST_CASE("KORMo: a Qwen 2 without biases and with other names for its norms") {
    model_family family("KORMoForCausalLM", 2);
    family.directory.config["intermediate_size"] = 48;
    family.add_ends();
    for (std::uint64_t layer = 0; layer < 2; ++layer) {
        family.begin_layer(layer);
        family.norm("attn_norm.weight", "pre_attention_layernorm.weight", model_family::embedding);
        family.norm("ffn_norm.weight", "pre_mlp_layernorm.weight", model_family::embedding);
        family.add_attention(8);
        family.add_feed_forward(48);
    }
    family.convert([](const huggingface::model& model) {
        CHECK(model.metadata().require<std::string>("general.architecture") == "qwen2");
    });
}
