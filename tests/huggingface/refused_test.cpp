// Hugging Face directories that are wrong: each gets one error that names file and key, or file and tensor.
#include <cstdint>
#include <string>
#include <string_view>

#include <doctest/doctest.h>

#include "huggingface/directory.hpp"
#include "support/support.hpp"
#include "tessera/huggingface/model.hpp"

namespace {

using support::has;
using support::model_directory;
namespace huggingface = tessera::huggingface;

// The error of opening the directory, without the folder's name, with which it must begin.
std::string error_of(const model_directory& directory) {
    const support::scratch_dir folder;
    directory.write(folder.path());
    const std::string message = support::message_of<tessera::error>([&] { huggingface::model{folder.path()}; });
    REQUIRE(message.starts_with(folder.path().string()));
    return message.substr(folder.path().string().size());
}

}  // namespace

TEST_CASE("tensors that are missing, unknown or of another shape") {
    const auto without = [](std::string_view name) {
        model_directory directory = model_directory::llama();
        directory.remove(name);
        return directory;
    };
    CHECK(has(error_of(without("lm_head.weight")), "tensor lm_head.weight: wanted by the architecture"));
    CHECK(has(error_of(without("model.layers.1.mlp.up_proj.weight")),
              "tensor model.layers.1.mlp.up_proj.weight: wanted by"));
    model_directory extra = model_directory::llama();
    extra.add("model.layers.0.self_attn.q_norm.weight", {4});
    CHECK(
        has(error_of(extra), "tensor model.layers.0.self_attn.q_norm.weight: wanted tensors of the architecture only"));
    model_directory fewer = model_directory::llama();
    fewer.config["num_hidden_layers"] = 1;
    CHECK(has(error_of(fewer), "tensor model.layers.1."));
    model_directory vocabulary = model_directory::llama();
    vocabulary.config["vocab_size"] = 11;
    CHECK(has(error_of(vocabulary),
              "tensor model.embed_tokens.weight: wanted [hidden_size, vocab_size] = [16, 11] from config.json, "
              "got F32 [16, 10]"));
    model_directory heads = model_directory::llama();
    heads.config["num_key_value_heads"] = 4;
    CHECK(has(error_of(heads),
              "tensor model.layers.0.self_attn.k_proj.weight: wanted [hidden_size, num_key_value_heads * head "
              "size] = [16, 16]"));
    model_directory experts = model_directory::mixtral();
    experts.config["num_local_experts"] = 4;
    CHECK(has(error_of(experts), "block_sparse_moe.gate.weight: wanted [hidden_size, number of experts] = [16, 4]"));
}

TEST_CASE("config.json is wrong: every message names the file and the key") {
    const auto error_with = [](const char* key, const nlohmann::json& value) {
        model_directory directory = model_directory::mixtral();
        if (value.is_discarded())
            directory.config.erase(key);
        else
            directory.config[key] = value;
        const std::string message = error_of(directory);
        CHECK_MESSAGE(message.starts_with(std::string("/config.json: ") + key), message);
        return message;
    };
    const nlohmann::json nothing(nlohmann::json::value_t::discarded);
    for (const char* key :
         {"architectures", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "vocab_size",
          "max_position_embeddings", "rms_norm_eps", "num_local_experts", "num_experts_per_tok"}) {
        CHECK(has(error_with(key, nothing), "got nothing"));
        CHECK(has(error_with(key, nullptr), "got nothing"));
        CHECK(has(error_with(key, nlohmann::json::object()), "got object"));
    }
    for (const char* key : {"hidden_size", "num_hidden_layers", "num_key_value_heads", "head_dim"}) {
        error_with(key, -1);
        error_with(key, 0);
        error_with(key, "16");
        error_with(key, 1.5);
        error_with(key, 1ull << 32);
    }
    CHECK(has(error_with("architectures", {"BertModel"}), "wanted one of LlamaForCausalLM, "));
    CHECK(has(error_with("num_hidden_layers", 513), "1 to 512"));
    CHECK(has(error_with("num_attention_heads", 6), "divisor of hidden_size"));
    CHECK(has(error_with("num_key_value_heads", 3), "divisor of num_attention_heads"));
    CHECK(has(error_with("head_dim", 5), "even size"));
    CHECK(has(error_with("head_dim", 1 << 20), "at most 65536"));
    CHECK(has(error_with("num_local_experts", 1025), "0 to 1024"));
    CHECK(has(error_with("num_experts_per_tok", 4), "1 to 3"));
    error_with("rms_norm_eps", 0.0);
    error_with("rms_norm_eps", 1e300);
    error_with("rope_theta", -1.0);
    error_with("rope_theta", "big");
    error_with("tie_word_embeddings", 1);
    error_with("rope_scaling", 1);
    CHECK(has(error_with("rope_scaling", {{"rope_type", "longrope"}}), "got longrope"));
    CHECK(has(error_with("rope_scaling", {{"type", "linear"}}), "rope_scaling.factor: wanted"));
    CHECK(has(error_with("rope_scaling", {{"type", "linear"}, {"factor", 0}}), "rope_scaling.factor: wanted"));
    CHECK(has(error_with("rope_scaling", {{"type", "llama3"}, {"factor", 2}}), "rope_scaling.low_freq_factor: wanted"));
    CHECK(has(error_with("rope_scaling",
                         {{"type", "llama3"}, {"factor", 2}, {"low_freq_factor", 4}, {"high_freq_factor", 1}}),
              "high_freq_factor"));
    CHECK(
        has(error_with("quantization_config", {{"quant_method", "gptq"}}),
            "got \"gptq\": these have lost what a better quantization needs; take the checkpoint they were made from"));
    CHECK(has(error_with("quantization_config", {{"quant_method", "fp8"}, {"weight_block_size", {128, 0}}}),
              "weight_block_size"));
    CHECK(has(error_with("quantization_config", {{"quant_method", "fp8"}, {"weight_block_size", {128}}}),
              "weight_block_size"));

    const support::scratch_dir folder;
    const auto error_of_text = [&](std::string_view text) {
        model_directory::llama().write(folder.path());
        support::write_text(folder / "config.json", text);
        return support::message_of<tessera::error>([&] { huggingface::model{folder.path()}; });
    };
    const std::string file = (folder / "config.json").string();
    CHECK(error_of_text("").starts_with(file));
    CHECK(error_of_text("[1]").starts_with(file));
    CHECK(error_of_text("{\"a\":1,\"a\":2}").starts_with(file));
    CHECK(error_of_text(std::string(1'000'000, '[')).starts_with(file));
    CHECK(support::message_of<tessera::error>([&] {
              huggingface::model{folder / "nowhere"};
          }).starts_with((folder / "nowhere/config.json").string()));
}
