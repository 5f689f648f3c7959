// What config.json says: every field that changes a forward pass has an effect, or is checked, or is refused by name.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "huggingface/directory.hpp"
#include "huggingface/families.hpp"
#include "huggingface/fused_families.hpp"
#include "huggingface/hybrid_families.hpp"
#include "support/support.hpp"
#include "tessera/huggingface/settings.hpp"

namespace {

using nlohmann::json;
using support::has;
using tessera::huggingface::model_settings;
namespace families = support::families;

// Everything a conversion takes from config.json, as bytes to compare.
std::string effect_of(const model_settings& settings) {
    std::string bytes(settings.architecture().gguf_name);
    for (const auto& [key, value] : settings.keys())
        bytes += tessera::concat(key, '=', std::visit([](const auto& v) { return json(v).dump(); }, value), '\n');
    const tessera::huggingface::model_dimensions& dimensions = settings.dimensions();
    bytes.append(reinterpret_cast<const char*>(&dimensions), sizeof dimensions);
    for (const auto& factors :
         {settings.rope().frequency_factors(dimensions.rotary), settings.rope().long_factors(dimensions.rotary),
          settings.rope().short_factors(dimensions.rotary)})
        bytes += json(factors).dump();
    for (const auto& group : settings.architecture().layer)
        for (const auto& rule : group.rules)
            if (!rule.flag.empty()) bytes += settings.text().flag(rule.flag).value_or(false) ? '1' : '0';
    bytes += tessera::concat(settings.is_tied(), settings.mtp_layers(), settings.block().rows);
    for (const std::string& note : settings.notes()) bytes += note;
    return bytes;
}

// What is wrong with a directory, or nothing.
std::string problem_of(const support::fs::path& folder) {
    try {
        const model_settings settings(folder);
        return {};
    } catch (const tessera::error& error) {
        return error.what();
    }
}

// Reads configurations from one directory, which has nothing else in it.
struct reader {
    support::scratch_dir folder;

    // The effect, or an error that begins with the directory.
    std::pair<std::string, bool> operator()(const json& config) const {
        support::write_text(folder / "config.json", config.dump());
        try {
            return {effect_of(model_settings(folder.path())), true};
        } catch (const tessera::error& error) {
            return {error.what(), false};
        }
    }
};

// Fields that no class of transformers computes the text with, or which matter only beside others, as the comment says.
bool is_harmless(std::string_view path) {
    static const std::set<std::string_view> names{
        // Bookkeeping.
        "_name_or_path", "architectures", "auto_map", "model_type", "dtype", "torch_dtype", "transformers_version",
        "use_cache", "use_bfloat16", "return_dict", "return_dict_in_generate", "torchscript", "finetuning_task",
        "task_specific_params", "problem_type", "tokenizer_class", "prefix", "is_decoder", "LABEL_0", "LABEL_1", "0",
        "1", "chunk_size_feed_forward", "cross_attention_hidden_size", "tie_encoder_decoder", "tf_legacy_loss",
        "language_model_only", "experts_per_token", "initial_context_length", "mamba_ssm_dtype", "ignore_index",
        "output_attentions", "output_hidden_states", "output_scores", "output_router_logits",
        "use_unified_vision_chunk", "video_placeholder", "mm_tokens_per_image",
        // Training.
        "initializer_range", "attention_dropout", "embd_pdrop", "resid_pdrop", "router_aux_loss_coef", "aux_loss_alpha",
        "seq_aux", "ep_size", "pretraining_tp",
        // Generation and tokens.
        "bos_token_id", "eos_token_id", "pad_token_id", "sep_token_id", "decoder_start_token_id", "forced_bos_token_id",
        "forced_eos_token_id", "image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id",
        "boi_token_index", "eoi_token_index", "image_token_index", "media_placeholder_token_id", "bad_words_ids",
        "begin_suppress_tokens", "suppress_tokens", "diversity_penalty", "do_sample", "early_stopping",
        "encoder_no_repeat_ngram_size", "exponential_decay_length_penalty", "length_penalty", "max_length",
        "min_length", "no_repeat_ngram_size", "num_beam_groups", "num_beams", "num_return_sequences",
        "remove_invalid_values", "repetition_penalty", "temperature", "top_k", "top_p", "typical_p",
        // The same for all sections of a text's positions.
        "mrope_interleaved",
        // Without a window, or with one as long as the context. The test of windows has them together.
        "use_sliding_window", "max_window_layers"};  // and sliding_window, below
    return names.contains(path.substr(path.rfind('.') + 1));
}

// Other values of the same type, or of some type where there is none.
std::vector<json> disturbed(const json& value) {
    if (value.is_boolean()) return {!value.get<bool>()};
    if (value.is_number_integer()) return {value.get<std::int64_t>() * 2 + 2, value.get<std::int64_t>() * 3 / 2 + 1};
    if (value.is_number()) return {value.get<double>() * 2 + 0.5, value.get<double>() * 0.625 + 0.03125};
    if (value.is_string()) return {"something_else"};
    if (value.is_array() && !value.empty() && value[0].is_string()) {
        json other = value;
        other[0] = "something_else";
        json turned(value);
        std::reverse(turned.begin(), turned.end());
        std::vector<json> all{other};
        if (turned != value) all.push_back(turned);
        return all;
    }
    if (value.is_array() && !value.empty()) {
        json other = value;
        other[0] = other[0].get<double>() * 2 + 1;
        return {other};
    }
    if (value.is_array()) return {json::array({1})};
    return {};
}

// Calls visit(path, value, config with the value replaced) for every field, inside text_config and the objects of
// rotary embedding, too.
template <class Visit>
void for_each_disturbed(const json& config, Visit&& visit) {
    const auto walk = [&](const auto& self, const json& object, const json::json_pointer& at) -> void {
        for (const auto& [key, value] : object.items()) {
            const json::json_pointer here = at / key;
            if (key == "vision_config" || key == "audio_config" || key == "quantization_config" || key == "auto_map")
                continue;
            if (value.is_object()) {
                self(self, value, here);
                continue;
            }
            for (const json& other : disturbed(value)) {
                json changed = config;
                changed[here] = other;
                visit(key, other, changed);
            }
        }
    };
    walk(walk, config, json::json_pointer());
}

std::vector<std::pair<std::string, json>> small_configs() {
    using families::experts_in;
    return {{"llama", support::model_directory::llama().config},
            {"mixtral", support::model_directory::mixtral().config},
            {"llama4", families::llama4().directory.config},
            {"qwen2", families::qwen2_yarn().directory.config},
            {"qwen2moe", families::qwen2moe().directory.config},
            {"qwen3", families::qwen3().directory.config},
            {"qwen3moe", families::qwen3moe(experts_in::matrices).directory.config},
            {"qwen3next", families::qwen3next().directory.config},
            {"qwen35", families::qwen35(false).directory.config},
            {"qwen35moe", families::qwen35(true).directory.config},
            {"gemma2", families::gemma2().directory.config},
            {"gemma3", families::gemma3().directory.config},
            {"phi3", families::phi3().directory.config},
            {"deepseek2", families::deepseek2(2).directory.config},
            {"deepseek3", families::deepseek3().directory.config},
            {"gpt-oss", families::gpt_oss().directory.config},
            {"glm4moe", families::glm4moe(1).directory.config}};
}

// Configurations of public models, as far as they can be converted; the others are refused by architecture or by the
// type of their weights.
std::vector<std::pair<std::string, json>> public_configs(const reader& read) {
    std::vector<std::pair<std::string, json>> configs;
    const auto folder = support::shared("configs");
    if (!folder) return configs;
    std::size_t refused = 0;
    for (const auto& entry : support::fs::directory_iterator(*folder)) {
        if (!entry.is_directory()) continue;
        const std::string name = entry.path().filename().string();
        CAPTURE(name);
        const std::string text = support::read_text(entry.path() / "config.json");
        support::write_text(read.folder / "config.json", text);
        const std::string problem = problem_of(read.folder.path());
        if (problem.empty()) {
            const model_settings settings(read.folder.path());
            for (const std::string& note : settings.notes()) CHECK_MESSAGE(!has(note, "mean nothing"), note);
            configs.emplace_back(name, json::parse(text));
            continue;
        }
        ++refused;
        CHECK_MESSAGE((has(problem, "architectures: wanted one of") || has(problem, "full precision")), problem);
    }
    CHECK(configs.size() >= 29);
    CHECK(refused >= 30);
    return configs;
}

}  // namespace

TEST_CASE("every field of config.json has an effect, or another value is refused or noted") {
    const reader read;
    std::vector<std::pair<std::string, json>> configs = small_configs();
    for (auto& config : public_configs(read)) configs.push_back(std::move(config));
    std::size_t changed = 0, refused = 0;
    for (const auto& [label, own] : configs) {
        const std::string& name = label;
        const json& config = own;
        CAPTURE(name);
        const auto undisturbed = read(config);
        REQUIRE_MESSAGE(undisturbed.second, undisturbed.first);
        for_each_disturbed(
            config, [&, &before = undisturbed.first](const std::string& field, const json& value, const json& other) {
                CAPTURE(field);
                CAPTURE(value.dump());
                if (is_harmless(field)) return;
                const bool has_experts = config.dump().find("experts") != std::string::npos;
                if (field == "sliding_window" && has(name, "wen") && !config.value("use_sliding_window", false)) return;
                if (field == "mlp_only_layers" && !has_experts) return;
                const auto [after, is_read] = read(other);
                if (is_read) {
                    ++changed;
                    const bool has_effect = after != before;
                    CHECK(has_effect);
                } else {
                    ++refused;
                    const bool names_it = after.starts_with(read.folder.path().string());
                    CHECK(names_it);
                }
            });
    }
    CHECK(changed > 100);
    CHECK(refused > 100);
}

TEST_CASE("features that an architecture lacks are refused by field in every such architecture") {
    const reader read;
    const std::vector<std::pair<std::string, json>> fields{{"hidden_act", "relu2"},
                                                           {"hidden_act", "gelu"},
                                                           {"hidden_activation", "relu"},
                                                           {"activation_function", "relu"},
                                                           {"attention_bias", true},
                                                           {"mlp_bias", true},
                                                           {"qkv_bias", true},
                                                           {"use_bias", true},
                                                           {"lm_head_bias", true},
                                                           {"clip_qkv", 8.0},
                                                           {"attn_logit_softcapping", 50.0},
                                                           {"final_logit_softcapping", 30.0},
                                                           {"query_pre_attn_scalar", 144},
                                                           {"attention_multiplier", 0.5},
                                                           {"embedding_multiplier", 12},
                                                           {"residual_multiplier", 0.22},
                                                           {"logits_scaling", 8},
                                                           {"logit_scale", 0.0625},
                                                           {"scale_emb", 12},
                                                           {"partial_rotary_factor", 0.75},
                                                           {"rotary_pct", 0.25},
                                                           {"alibi", true},
                                                           {"no_rope_layers", {0, 1, 0, 1, 0, 1, 0}},
                                                           {"use_parallel_residual", true},
                                                           {"parallel_attn", true},
                                                           {"use_qk_norm", true},
                                                           {"qk_layernorm", true},
                                                           {"layer_types", {"full_attention", "mamba"}},
                                                           {"mlp_layer_types", {"half", "dense"}},
                                                           {"attention_chunk_size", 4096},
                                                           {"attn_temperature_tuning", 2},
                                                           {"sliding_window_pattern", 3},
                                                           {"first_k_dense_replace", 2},
                                                           {"moe_layer_freq", 2},
                                                           {"decoder_sparse_step", 2},
                                                           {"mlp_only_layers", {0}},
                                                           {"interleave_moe_layer_step", 3},
                                                           {"moe_layers", {1}},
                                                           {"num_local_experts", 3},
                                                           {"n_routed_experts", 5},
                                                           {"n_shared_experts", 3},
                                                           {"shared_expert_intermediate_size", 24},
                                                           {"norm_topk_prob", true},
                                                           {"norm_topk_prob", false},
                                                           {"scoring_func", "sigmoid"},
                                                           {"topk_method", "other"},
                                                           {"n_group", 2},
                                                           {"routed_scaling_factor", 4.5},
                                                           {"swiglu_limit", 5.0},
                                                           {"attn_output_gate", true},
                                                           {"attn_output_gate", false},
                                                           {"is_causal", false},
                                                           {"use_bidirectional_attention", true},
                                                           {"is_encoder_decoder", true},
                                                           {"hidden_size_per_layer_input", 256},
                                                           {"num_kv_shared_layers", 2},
                                                           {"kv_lora_rank", 16},
                                                           {"hc_mult", 4},
                                                           {"rope_scaling", {{"rope_type", "proportional"}}},
                                                           {"rope_interleave", true},
                                                           {"index_topk", 2048},
                                                           {"quantization_config", {{"quant_method", "awq"}}}};
    std::size_t refused = 0;
    for (const auto& [label, config] : small_configs())
        for (const auto& one : fields) {
            const std::string& name = label;
            const std::string& field = one.first;
            const json& value = one.second;
            CAPTURE(name);
            CAPTURE(field);
            CAPTURE(value.dump());
            json other = config;
            (config.contains("text_config") ? other["text_config"] : other)[field] = value;
            const auto [before, was_fine] = read(config);
            const auto [after, is_fine] = read(other);
            REQUIRE(was_fine);
            if (!is_fine) {
                ++refused;
                CHECK(has(after, field));
            } else if (after == before) {
                // It says what the architecture is anyway, or does not matter to a model without experts.
                static const std::set<std::string> of_experts{"norm_topk_prob",
                                                              "scoring_func",
                                                              "n_group",
                                                              "routed_scaling_factor",
                                                              "topk_method",
                                                              "n_shared_experts",
                                                              "shared_expert_intermediate_size",
                                                              "first_k_dense_replace",
                                                              "moe_layer_freq",
                                                              "decoder_sparse_step",
                                                              "mlp_only_layers",
                                                              "interleave_moe_layer_step",
                                                              "moe_layers"};
                static const std::set<std::string> own{"llama4 attn_temperature_tuning",
                                                       "llama4 norm_topk_prob false",
                                                       "gemma2 hidden_act \"gelu\"",
                                                       "gemma3 hidden_act \"gelu\"",
                                                       "qwen2 attention_bias true",
                                                       "qwen2moe attention_bias true",
                                                       "qwen2 qkv_bias true",
                                                       "qwen2moe qkv_bias true",
                                                       "gpt-oss attention_bias true",
                                                       "qwen3 use_qk_norm true",
                                                       "qwen3moe use_qk_norm true",
                                                       "qwen3next use_qk_norm true",
                                                       "qwen35 use_qk_norm true",
                                                       "qwen35moe use_qk_norm true",
                                                       "llama4 use_qk_norm true",
                                                       "glm4moe use_qk_norm true",
                                                       "glm4moe attention_bias true",
                                                       "glm4moe scoring_func \"sigmoid\"",
                                                       "deepseek3 scoring_func \"sigmoid\"",
                                                       "deepseek2 rope_interleave true",
                                                       "deepseek3 rope_interleave true",
                                                       "mixtral num_local_experts 3",
                                                       "phi3 partial_rotary_factor 0.75",
                                                       "deepseek2 n_group 2",
                                                       "deepseek2 kv_lora_rank 16",
                                                       "deepseek3 kv_lora_rank 16"};
                const bool has_experts = config.dump().find("experts") != std::string::npos;
                const std::string what = name + " " + field + " " + value.dump();
                const bool is_own = own.contains(what) || field == "attn_output_gate" || field == "norm_topk_prob";
                CHECK_MESSAGE((is_own || (!has_experts && of_experts.contains(field))), what);
            }
        }
    CHECK(refused > 700);
}

TEST_CASE("a sliding window that loaders ignore becomes a note, where it is shorter than the context") {
    const reader read;
    const auto notes_of = [&](const char* architecture, const json& fields) {
        json config = support::model_directory::llama().config;
        config["architectures"] = {architecture};
        config.update(fields);
        support::write_text(read.folder / "config.json", config.dump());
        const model_settings settings(read.folder.path());
        return std::vector<std::string>(settings.notes());
    };
    const std::vector<std::string> told{
        "sliding_window 32: loaders of GGUF have no window in this architecture: they "
        "compute the same up to 32 tokens"};
    CHECK(notes_of("MistralForCausalLM", {{"sliding_window", 32}}) == told);
    CHECK(notes_of("MistralForCausalLM", {{"sliding_window", 128}}).empty());  // as long as the context
    CHECK(notes_of("Qwen2ForCausalLM", {{"sliding_window", 32}, {"use_sliding_window", true}}) == told);
    CHECK(notes_of("Qwen2ForCausalLM",
                   {{"sliding_window", 32}, {"use_sliding_window", true}, {"max_window_layers", 1}}) == told);
    CHECK(notes_of("Qwen2ForCausalLM", {{"sliding_window", 32}, {"use_sliding_window", true}, {"max_window_layers", 2}})
              .empty());
    CHECK(notes_of("Qwen2ForCausalLM", {{"sliding_window", 32}, {"use_sliding_window", false}}).empty());
    CHECK(notes_of("Qwen2ForCausalLM", {{"sliding_window", 32}}).empty());
    CHECK(notes_of("Qwen2ForCausalLM", {{"sliding_window", 32},
                                        {"use_sliding_window", true},
                                        {"layer_types", {"sliding_attention", "full_attention"}}}) == told);
    CHECK(notes_of("LlamaForCausalLM", {{"my_field", 1}, {"\x1b[2J", 2}}) ==
          std::vector<std::string>{R"(config.json has fields that mean nothing here: "\u001b[2J", "my_field")"});
}

TEST_CASE("layer_types are compared with the pattern of the architecture") {
    const reader read;
    const auto refused = [&](json config, const char* field, const json& value, const char* why) {
        config[field] = value;
        const std::pair<std::string, bool> result = read(config);
        CHECK(!result.second);
        CHECK_MESSAGE(has(result.first, why), result.first);
    };
    const auto accepted = [&](json config, const char* field, const json& value) {
        config[field] = value;
        const std::pair<std::string, bool> result = read(config);
        CHECK_MESSAGE(result.second, result.first);
        return result.first;
    };
    const json gemma = families::gemma3().directory.config;
    json types(7, "sliding_attention");
    types[5] = "full_attention";
    accepted(gemma, "layer_types", types);
    accepted(gemma, "layer_types", json::array());
    refused(gemma, "layer_types", json(6, "sliding_attention"), "wanted a list of 7 layers");
    std::swap(types[5], types[4]);
    refused(gemma, "layer_types", types, R"(wanted "sliding_attention" for layer 4)");
    json fives = gemma;
    fives["sliding_window_pattern"] = 5;
    CHECK(has(accepted(fives, "layer_types", types), "gemma3.attention.sliding_window_pattern=5"));
    CHECK(!has(accepted(gemma, "sliding_window_pattern", 6), "attention.sliding_window_pattern"));

    const json hybrid = families::qwen35(false).directory.config;
    accepted(hybrid, "layer_types", {"linear_attention", "linear_attention", "linear_attention", "full_attention"});
    refused(hybrid, "layer_types", {"full_attention", "linear_attention", "linear_attention", "full_attention"},
            "for layer 0");
    const json chunked = families::llama4().directory.config;
    accepted(chunked, "no_rope_layers", {1, 1, 1, 0});
    refused(chunked, "no_rope_layers", {1, 1, 0, 1}, "wanted 1 for layer 2");
    accepted(chunked, "moe_layers", {1, 3});
    refused(chunked, "moe_layers", {0, 1, 2, 3}, "moe_layers: wanted [1,3]");
    refused(chunked, "use_qk_norm", false, "use_qk_norm: wanted true");
    json many = chunked;
    many["num_local_experts"] = 128;
    refused(many, "use_qk_norm", true, "use_qk_norm: wanted false");
    accepted(many, "use_qk_norm", false);
    const json sparse = families::glm4moe(1).directory.config;
    accepted(sparse, "mlp_layer_types", {"dense", "sparse", "sparse"});
    refused(sparse, "mlp_layer_types", {"sparse", "sparse", "sparse"}, R"(wanted "dense" for layer 0)");

    // The scale of attention follows from the size of heads, or of the whole in the largest models.
    refused(gemma, "query_pre_attn_scalar", 8, "query_pre_attn_scalar: wanted 16");
    json large = gemma;
    large["num_hidden_layers"] = 62;
    refused(large, "query_pre_attn_scalar", 16, "query_pre_attn_scalar: wanted 8");
    accepted(large, "query_pre_attn_scalar", 8);
}

TEST_CASE("rope_scaling and rope_parameters must agree, and unknown keys in them are refused") {
    const reader read;
    json config = support::model_directory::llama().config;
    config["rope_scaling"] = {{"type", "yarn"}, {"factor", 4.0}, {"original_max_position_embeddings", 32}};
    const auto [alone, is_fine] = read(config);
    CHECK(is_fine);
    config["rope_parameters"] = {{"rope_type", "yarn"}, {"factor", 4}, {"rope_theta", 10000.0}};
    CHECK(read(config).first == alone);
    config["rope_parameters"]["factor"] = 8.0;
    CHECK(has(read(config).first, "rope_parameters: wanted factor as in rope_scaling, 4.0, got 8.0"));
    config["rope_parameters"] = {{"rope_theta", 5000.0}};
    CHECK(has(read(config).first, "rope_theta: wanted the same as in rope_scaling, 5000.0, got 10000.0"));
    config.erase("rope_parameters");
    config["rope_scaling"]["alpha"] = 1000;
    CHECK(has(read(config).first, "rope_scaling.alpha: wanted nothing of this name with type yarn, got 1000"));

    json latent = families::deepseek3().directory.config;
    latent["rope_scaling"]["mscale"] = 0.5;
    CHECK(has(read(latent).first, "rope_scaling.mscale: wanted mscale_all_dim, 1, got 0.5"));
    json fixed = families::gemma2().directory.config;
    fixed["rope_theta"] = 5000.0;
    CHECK(has(read(fixed).first, "rope_theta: wanted 10000"));
    fixed["rope_theta"] = 10000;
    fixed["rope_scaling"] = {{"rope_type", "linear"}, {"factor", 2}};
    CHECK(!read(fixed).second);
}

TEST_CASE("text_config: its own values count, and differences to the outer ones are noted") {
    const reader read;
    json config = families::qwen35(true).directory.config;
    config["tie_word_embeddings"] = false;
    config["text_config"]["tie_word_embeddings"] = true;
    const auto [effect, is_fine] = read(config);
    CHECK(is_fine);
    CHECK(has(effect, "config.json has tie_word_embeddings false, its text_config true: the latter counts"));

    // It may name an architecture of its own.
    json llava{{"architectures", {"LlavaForConditionalGeneration"}},
               {"model_type", "llava"},
               {"text_config", families::qwen3().directory.config}};
    CHECK(read(llava).first.starts_with("qwen3"));
    llava["text_config"] = {{"model_type", "llama"}, {"vocab_size", 32064}};
    CHECK(has(read(llava).first, "llama.embedding_length=4096"));
    llava["text_config"]["architectures"] = {"LlamaForCausalLM"};
    CHECK(has(read(llava).first, "llama.embedding_length=4096"));
    llava["text_config"] = {{"model_type", "phi"}};
    CHECK(has(read(llava).first, "model_type: wanted \"llama\", \"mistral\""));
}

TEST_CASE("NaN and Infinity are accepted where unused, and refused as strings where a number is wanted") {
    const reader read;
    const auto with = [&](const std::string& more) {
        std::string text = support::model_directory::llama().config.dump();
        support::write_text(read.folder / "config.json", text.insert(1, more));
        return problem_of(read.folder.path());
    };
    CHECK(with(R"("time_step_limit": [0.0, Infinity], "a": NaN, "b": -Infinity, "c": "NaN \" Infinity", )").empty());
    CHECK(has(with(R"("partial_rotary_factor": NaN, )"), "partial_rotary_factor: wanted 1 or nothing"));
    CHECK(has(with(R"("rope_local_base_freq": Infinity, )"), "rope_local_base_freq: wanted nothing"));
    CHECK(has(with(R"("a": Nan, )"), "config.json: wanted JSON"));
    CHECK(has(with(R"("a": NaN1, )"), "config.json: wanted JSON"));
}

TEST_CASE("which quantized checkpoints can be read") {
    const support::scratch_dir folder;
    const auto problem = [&](const json& quantization, const char* key = "quantization_config") {
        json config = support::model_directory::llama().config;
        config[key] = quantization;
        support::write_text(folder / "config.json", config.dump());
        return problem_of(folder.path());
    };
    const json eight_bits{{"group_0", {{"weights", {{"num_bits", 8}, {"type", "float"}}}}}};
    const json four_bits{{"group_0", {{"weights", {{"num_bits", 4}, {"type", "float"}}}}}};
    const json integers{{"group_0", {{"weights", {{"num_bits", 8}, {"type", "int"}}}}}};
    CHECK(problem({{"quant_method", "fp8"}, {"activation_scheme", "static"}}).empty());
    CHECK(problem({{"quant_algo", "FP8"}, {"config_groups", eight_bits}}).empty());
    CHECK(problem({{"quant_method", "modelopt"}, {"quant_algo", "FP8"}}).empty());
    CHECK(problem({{"quant_method", "compressed-tensors"}, {"config_groups", eight_bits}}).empty());
    CHECK(problem({{"config_groups", eight_bits}}).empty());
    CHECK(has(problem({{"quant_method", "modelopt"}, {"quant_algo", "NVFP4"}}), "quant_algo: wanted weights"));
    CHECK(has(problem({{"quant_algo", "FP8"}, {"config_groups", four_bits}}), "num_bits: wanted weights"));
    CHECK(has(problem({{"quant_method", "compressed-tensors"}, {"config_groups", four_bits}}), "num_bits: wanted"));
    CHECK(has(problem({{"quant_method", "compressed-tensors"}, {"config_groups", integers}}), "got \"int\""));
    CHECK(has(problem({{"quant_method", "bitsandbytes"}}), "take the checkpoint they were made from"));
    CHECK(has(problem({{"bits", 4}, {"group_size", 64}}, "quantization"), "quantization.bits: wanted weights"));  // MLX

    // The architecture is judged first.
    json config = support::model_directory::llama().config;
    config["architectures"] = {"MambaForCausalLM"};
    config["quantization_config"] = {{"quant_method", "gptq"}};
    support::write_text(folder / "config.json", config.dump());
    CHECK(has(problem_of(folder.path()), "architectures: wanted one of"));

    // ModelOpt's own file beside a config.json that says nothing.
    support::write_text(folder / "config.json", support::model_directory::llama().config.dump());
    support::write_text(folder / "hf_quant_config.json", R"({"quantization": {"quant_algo": "NVFP4"}})");
    CHECK(has(problem_of(folder.path()), "hf_quant_config.json: quantization.quant_algo: wanted weights"));
    support::write_text(folder / "hf_quant_config.json", R"({"quantization": {"quant_algo": "FP8"}})");
    CHECK_NOTHROW(model_settings{folder.path()});
}
