// One small model directory per Hugging Face architecture, each GGUF tensor against a transform written as plain loops.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "model/hf_directory.hpp"
#include "model/hf_family.hpp"
#include "support/support.hpp"

namespace {

using support::hf_family;
using support::values;
using tessera::model::hf_model;

constexpr std::uint64_t embedding = hf_family::embedding, heads = hf_family::heads, key_heads = hf_family::key_heads;

// Rows of `width` values, picked one by one.
values picked(const values& from, std::size_t width, const std::vector<std::size_t>& rows) {
    values to;
    for (const std::size_t row : rows)
        to.insert(to.end(), from.begin() + static_cast<std::ptrdiff_t>(row * width),
                  from.begin() + static_cast<std::ptrdiff_t>((row + 1) * width));
    return to;
}

void add_qwen_layer(hf_family& family, std::uint64_t layer, std::uint64_t head_size, bool has_head_norms) {
    family.begin_layer(layer);
    family.norm("attn_norm.weight", "input_layernorm.weight", embedding);
    family.norm("ffn_norm.weight", "post_attention_layernorm.weight", embedding);
    if (has_head_norms) {
        family.add_attention(head_size);
        family.add_head_norms(head_size);
    } else {
        family.add_attention(head_size, {"q", "k", "v"});
    }
}

void add_shared_expert(hf_family& family, std::uint64_t size) {
    family.same("ffn_gate_inp_shexp.weight", "mlp.shared_expert_gate.weight", {embedding, 1});
    family.add_feed_forward(size, "mlp.shared_expert.", "_shexp");
}

}  // namespace

TEST_CASE("Qwen2, with YaRN") {
    hf_family family("Qwen2ForCausalLM", 2);
    family.directory.config["intermediate_size"] = 48;
    family.directory.config["rope_theta"] = 10000.0;
    family.directory.config["rope_scaling"] = {
        {"type", "yarn"}, {"factor", 4.0}, {"original_max_position_embeddings", 16}};
    family.directory.config["sliding_window"] = 32;
    family.add_ends();
    for (std::uint64_t layer = 0; layer < 2; ++layer) {
        add_qwen_layer(family, layer, 8, false);
        family.add_feed_forward(48);
    }
    family.convert_like("qwen2_yarn");
    family.break_config();
}

TEST_CASE("Qwen3") {
    hf_family family("Qwen3ForCausalLM", 2);
    family.directory.config["intermediate_size"] = 48;
    family.directory.config["head_dim"] = 16;
    family.directory.config["rope_theta"] = 1000000;
    family.add_ends();
    for (std::uint64_t layer = 0; layer < 2; ++layer) {
        add_qwen_layer(family, layer, 16, true);
        family.add_feed_forward(48);
    }
    family.convert_like("qwen3");
}

TEST_CASE("Qwen2Moe") {
    hf_family family("Qwen2MoeForCausalLM", 2);
    family.directory.config["intermediate_size"] = 48;
    family.directory.config["moe_intermediate_size"] = 16;
    family.directory.config["shared_expert_intermediate_size"] = 20;
    family.directory.config["num_experts"] = 6;
    family.directory.config["num_experts_per_tok"] = 2;
    family.directory.config["norm_topk_prob"] = false;
    family.add_ends();
    for (std::uint64_t layer = 0; layer < 2; ++layer) {
        add_qwen_layer(family, layer, 8, false);
        family.add_experts(6, 16);
        add_shared_expert(family, 20);
    }
    family.convert_like("qwen2moe");
    family.break_config();

    family.directory.config.erase("num_experts");
    const support::scratch_dir folder;
    family.directory.write(folder.path());
    CHECK_THROWS_WITH_AS(hf_model{folder.path()}, doctest::Contains("num_experts: wanted"), tessera::error);
}

TEST_CASE("Qwen3Moe, with experts apart and in one tensor") {
    for (const bool is_fused : {false, true}) {
        CAPTURE(is_fused);
        hf_family family("Qwen3MoeForCausalLM", 2);
        family.directory.config["intermediate_size"] = 48;
        family.directory.config["head_dim"] = 16;
        family.directory.config["moe_intermediate_size"] = 16;
        family.directory.config["num_experts"] = 6;
        family.directory.config["num_experts_per_tok"] = 3;
        family.directory.config["norm_topk_prob"] = true;
        family.add_ends();
        for (std::uint64_t layer = 0; layer < 2; ++layer) {
            add_qwen_layer(family, layer, 16, true);
            if (!is_fused) {
                family.add_experts(6, 16);
                continue;
            }
            family.same("ffn_gate_inp.weight", "mlp.gate.weight", {embedding, 6});
            family.same("ffn_down_exps.weight", "mlp.experts.down_proj", {16, embedding, 6});
            const values both = family.in_layer("mlp.experts.gate_up_proj", {embedding, 32, 6});
            std::vector<std::size_t> gates, ups;
            for (std::size_t expert = 0; expert < 6; ++expert)
                for (std::size_t row = 0; row < 16; ++row) {
                    gates.push_back(expert * 32 + row);
                    ups.push_back(expert * 32 + 16 + row);
                }
            family.wanted[family.block + "ffn_gate_exps.weight"] = picked(both, embedding, gates);
            family.wanted[family.block + "ffn_up_exps.weight"] = picked(both, embedding, ups);
        }
        family.convert_like("qwen3moe");
        family.break_config();
    }
}

namespace {

void add_gemma_layer(hf_family& family, std::uint64_t layer, std::uint64_t feed_forward) {
    family.begin_layer(layer);
    family.norm("attn_norm.weight", "input_layernorm.weight", embedding);
    family.norm("post_attention_norm.weight", "post_attention_layernorm.weight", embedding);
    family.norm("ffn_norm.weight", "pre_feedforward_layernorm.weight", embedding);
    family.norm("post_ffw_norm.weight", "post_feedforward_layernorm.weight", embedding);
    family.add_attention(16);
    family.add_feed_forward(feed_forward);
}

}  // namespace

TEST_CASE("Gemma 2: tied unless said otherwise, norms stored less 1") {
    hf_family family("Gemma2ForCausalLM", 4);
    family.norm_shift = 1.0f;
    family.directory.config.erase("tie_word_embeddings");
    family.directory.config["intermediate_size"] = 48;
    family.directory.config["head_dim"] = 16;
    family.directory.config["rope_theta"] = 10000.0;
    family.directory.config["attn_logit_softcapping"] = 5.0;
    family.directory.config["final_logit_softcapping"] = 10.0;
    family.directory.config["sliding_window"] = 3;
    family.directory.config["query_pre_attn_scalar"] = 16;
    family.add_ends();
    for (std::uint64_t layer = 0; layer < 4; ++layer) add_gemma_layer(family, layer, 48);
    family.convert_like("gemma2");
    family.break_config();
}

TEST_CASE("Gemma 3, alone and as the text part of a model with pictures") {
    hf_family family("Gemma3ForCausalLM", 7);
    family.norm_shift = 1.0f;
    family.directory.config.erase("tie_word_embeddings");
    family.directory.config["intermediate_size"] = 40;
    family.directory.config["head_dim"] = 16;
    family.directory.config["rope_theta"] = 1000000.0;
    family.directory.config["rope_scaling"] = {{"rope_type", "linear"}, {"factor", 8.0}};
    family.directory.config["sliding_window"] = 3;
    hf_family pictured = family;
    family.add_ends();
    for (std::uint64_t layer = 0; layer < 7; ++layer) {
        add_gemma_layer(family, layer, 40);
        family.add_head_norms(16);
    }
    family.convert_like("gemma3");
    family.break_config();

    family.directory.config["rope_local_base_freq"] = 5000.0;
    family.convert(
        [](const hf_model& model) { CHECK(model.metadata().require<float>("gemma3.rope.freq_base_swa") == 5000.0f); });

    // Both ways to say where the text part is. What its configuration leaves out has its defaults, or is outside.
    for (const std::string before : {"language_model.model.", "model.language_model."}) {
        hf_family other = pictured;
        nlohmann::json text = other.directory.config;
        for (const char* key : {"architectures", "rms_norm_eps", "rope_theta"}) text.erase(key);
        other.directory.config = {{"architectures", {"Gemma3ForConditionalGeneration"}},
                                  {"model_type", "gemma3"},
                                  {"text_config", text},
                                  {"vision_config", {{"hidden_size", 7}}}};
        other.directory.add("vision_tower.vision_model.embeddings.patch_embedding.bias", {7});
        other.directory.add("model.multi_modal_projector.mm_input_projection_weight", {7, 3});
        const auto rename = [&](std::string name) {
            return name.starts_with("model.") ? before + name.substr(6) : "language_model." + name;
        };
        for (const auto& info : family.directory.weights.tensors())
            other.directory.weights.add(rename(info.name), std::span(info.dims).first(info.rank),
                                        family.directory.values(info.name));
        other.wanted = family.wanted;
        other.directory.config["text_config"]["bos_token_id"] = 5;
        other.convert_like("gemma3", {"gemma3.attention.layer_norm_rms_epsilon"});
        other.convert([](const hf_model& model) {
            CHECK(model.metadata().require<std::uint32_t>("tokenizer.ggml.bos_token_id") == 5);
        });
    }
}

TEST_CASE("Gemma 3: rotary embedding of two kinds of layers, as newer configurations have it") {
    hf_family family("Gemma3ForCausalLM", 1);
    family.norm_shift = 1.0f;
    family.directory.config.erase("tie_word_embeddings");
    family.directory.config["intermediate_size"] = 40;
    family.directory.config["head_dim"] = 16;
    family.directory.config["rope_parameters"] = {
        {"full_attention", {{"rope_type", "linear"}, {"factor", 8.0}, {"rope_theta", 500000.0}}},
        {"sliding_attention", {{"rope_type", "default"}, {"rope_theta", 20000.0}}}};
    family.add_ends();
    add_gemma_layer(family, 0, 40);
    family.add_head_norms(16);
    family.convert([](const hf_model& model) {
        CHECK(model.metadata().require<float>("gemma3.rope.freq_base") == 500000.0f);
        CHECK(model.metadata().require<float>("gemma3.rope.freq_base_swa") == 20000.0f);
        CHECK(model.metadata().require<float>("gemma3.rope.scaling.factor") == 8.0f);
        CHECK(!model.metadata().contains("gemma3.attention.sliding_window"));
    });
}

TEST_CASE("Phi 3: fused projections stay, factors for long and short contexts") {
    hf_family family("Phi3ForCausalLM", 2);
    family.directory.config["intermediate_size"] = 40;
    family.directory.config["max_position_embeddings"] = 2048;
    family.directory.config["original_max_position_embeddings"] = 256;
    family.directory.config["partial_rotary_factor"] = 0.75;
    family.directory.config["sliding_window"] = 2;
    family.directory.config["rope_scaling"] = {
        {"type", "longrope"}, {"long_factor", {1.5, 2.5, 3.5}}, {"short_factor", {1, 1.25, 2}}};
    family.add_ends();
    family.wanted["rope_factors_long.weight"] = {1.5f, 2.5f, 3.5f};
    family.wanted["rope_factors_short.weight"] = {1.0f, 1.25f, 2.0f};
    for (std::uint64_t layer = 0; layer < 2; ++layer) {
        family.begin_layer(layer);
        family.norm("attn_norm.weight", "input_layernorm.weight", embedding);
        family.norm("ffn_norm.weight", "post_attention_layernorm.weight", embedding);
        family.same("attn_qkv.weight", "self_attn.qkv_proj.weight", {embedding, (heads + 2 * key_heads) * 8});
        family.same("attn_output.weight", "self_attn.o_proj.weight", {heads * 8, embedding});
        family.same("ffn_up.weight", "mlp.gate_up_proj.weight", {embedding, 80});
        family.same("ffn_down.weight", "mlp.down_proj.weight", {40, embedding});
    }
    family.convert_like("phi3_long", {"phi3.rope.scaling.attn_factor"});
    family.break_config();
    family.convert([](const hf_model& model) {
        CHECK(model.metadata().require<float>("phi3.rope.scaling.attn_factor") ==
              doctest::Approx(std::sqrt(1.0 + std::log(8.0) / std::log(256.0))));
    });

    hf_family short_only = family;
    short_only.directory.config["rope_scaling"] = nullptr;
    short_only.directory.config["sliding_window"] = nullptr;
    short_only.wanted.erase("rope_factors_long.weight");
    short_only.wanted.erase("rope_factors_short.weight");
    short_only.convert([](const hf_model& model) {
        CHECK(model.metadata().require<std::uint32_t>("phi3.attention.sliding_window") == 0);
        CHECK(!model.metadata().contains("phi3.rope.scaling.attn_factor"));
    });

    family.directory.config["rope_scaling"]["long_factor"] = {1, 2};
    const support::scratch_dir folder;
    family.directory.write(folder.path());
    CHECK_THROWS_WITH_AS(hf_model{folder.path()}, doctest::Contains("long_factor: wanted 3 numbers, got 2"),
                         tessera::error);
}

TEST_CASE("GLM 4.5: a dense layer, experts, and a layer that predicts a further token") {
    hf_family family("Glm4MoeForCausalLM", 3);
    auto& config = family.directory.config;
    config["intermediate_size"] = 48;
    config["head_dim"] = 16;
    config["partial_rotary_factor"] = 0.5;
    config["moe_intermediate_size"] = 16;
    config["n_routed_experts"] = 6;
    config["n_shared_experts"] = 1;
    config["num_experts_per_tok"] = 2;
    config["first_k_dense_replace"] = 1;
    config["routed_scaling_factor"] = 1.5;
    config["norm_topk_prob"] = true;
    config["num_nextn_predict_layers"] = 1;
    family.add_ends();
    hf_family without_next("", 0);
    for (std::uint64_t layer = 0; layer < 4; ++layer) {
        if (layer == 3) without_next = family;
        family.begin_layer(layer);
        family.norm("attn_norm.weight", "input_layernorm.weight", embedding);
        family.norm("post_attention_norm.weight", "post_attention_layernorm.weight", embedding);
        family.add_attention(16, {"q", "k", "v"});
        family.add_head_norms(16);
        if (layer == 0) {
            family.add_feed_forward(48);
            continue;
        }
        family.add_experts(6, 16);
        family.same("exp_probs_b.bias", "mlp.gate.e_score_correction_bias", {6});
        family.add_feed_forward(16, "mlp.shared_experts.", "_shexp");
    }
    family.same("nextn.eh_proj.weight", "eh_proj.weight", {2 * embedding, embedding});
    family.same("nextn.enorm.weight", "enorm.weight", {embedding});
    family.same("nextn.hnorm.weight", "hnorm.weight", {embedding});
    family.same("nextn.shared_head_norm.weight", "shared_head.norm.weight", {embedding});
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
    const hf_model model(folder.path());
    const std::pair<const char*, std::uint32_t> roles[] = {
        {"eos", 20}, {"bos", 21}, {"eot", 22}, {"eom", 23}, {"unknown", 0}};
    for (const auto& role : roles) {
        CAPTURE(role.first);
        CHECK(model.metadata().require<std::uint32_t>(std::string("tokenizer.ggml.") + role.first + "_token_id") ==
              role.second);
    }

    // A checkpoint may lack that layer, whatever config.json says.
    without_next.convert([](const hf_model& model) {
        CHECK(model.metadata().require<std::uint32_t>("glm4moe.block_count") == 3);
        CHECK(!model.metadata().contains("glm4moe.nextn_predict_layers"));
    });
}
