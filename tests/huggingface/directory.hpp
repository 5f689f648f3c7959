// Small Hugging Face model directories with random weights.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <functional>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "safetensors/raw_file.hpp"
#include "support/support.hpp"
#include "tessera/core/half.hpp"
#include "tessera/safetensors/writer.hpp"
#include "tessera/tensor/memory.hpp"

namespace support {

/// All values of a tensor of any source.
template <class Source>
std::vector<float> values_of(const Source& source, std::string_view name) {
    const tessera::tensor_info* info = source.find(name);
    REQUIRE_MESSAGE(info != nullptr, name);
    std::vector<float> values(info->weights());
    source.read(*info, 0, info->rows(), values);
    return values;
}

/// What a test writes into a directory: config.json, weights, and a vocabulary of single letters. Change it, then
/// write.
struct model_directory {
    nlohmann::json config;
    tessera::memory_source weights;
    /// Tensors of bytes; dimensions in GGUF's order.
    struct byte_tensor {
        std::string name;
        std::vector<std::uint64_t> dims;
        std::string bytes;
    };
    std::vector<byte_tensor> byte_tensors = {};
    float norm_shift = 0.0f;  ///< norms are stored less this

    static constexpr std::uint64_t embedding = 16, feed_forward = 12, layers = 2, heads = 4, key_heads = 2,
                                   vocabulary = 10;

    /// A Llama with untied embeddings.
    static model_directory llama() {
        model_directory model;
        model.config = {{"architectures", {"LlamaForCausalLM"}},
                        {"hidden_size", embedding},
                        {"intermediate_size", feed_forward},
                        {"num_hidden_layers", layers},
                        {"num_attention_heads", heads},
                        {"num_key_value_heads", key_heads},
                        {"vocab_size", vocabulary},
                        {"max_position_embeddings", 128},
                        {"rms_norm_eps", 1e-5},
                        {"rope_theta", 10000.0},
                        {"rope_scaling", nullptr},
                        {"tie_word_embeddings", false}};
        model.add_attention();
        for (std::uint64_t layer = 0; layer < layers; ++layer) {
            const std::string prefix = "model.layers." + std::to_string(layer) + ".mlp.";
            model.add(prefix + "gate_proj.weight", {embedding, feed_forward});
            model.add(prefix + "up_proj.weight", {embedding, feed_forward});
            model.add(prefix + "down_proj.weight", {feed_forward, embedding});
        }
        return model;
    }

    /// A Mixtral with three experts.
    static model_directory mixtral() {
        model_directory model;
        model.config = llama().config;
        model.config["architectures"] = {"MixtralForCausalLM"};
        model.config["num_local_experts"] = 3;
        model.config["num_experts_per_tok"] = 2;
        model.add_attention();
        for (std::uint64_t layer = 0; layer < layers; ++layer) {
            const std::string prefix = "model.layers." + std::to_string(layer) + ".block_sparse_moe.";
            model.add(prefix + "gate.weight", {embedding, 3});
            for (int expert = 0; expert < 3; ++expert) {
                const std::string of_expert = prefix + "experts." + std::to_string(expert);
                model.add(of_expert + ".w1.weight", {embedding, feed_forward});
                model.add(of_expert + ".w2.weight", {feed_forward, embedding});
                model.add(of_expert + ".w3.weight", {embedding, feed_forward});
            }
        }
        return model;
    }

    /// Adds a tensor of random values that BF16 holds exactly, of such a size that every part of a model matters.
    void add(std::string name, std::vector<std::uint64_t> dims) {
        std::uint64_t count = 1;
        for (const std::uint64_t dim : dims) count *= dim;
        const bool is_norm = dims.size() == 1 && name.find("norm") != std::string::npos;
        const bool is_shifted = is_norm && name.find("linear_attn.norm") == std::string::npos;
        const float mean = is_norm ? 1.0f - (is_shifted ? norm_shift : 0.0f) : 0.0f;
        const float deviation = is_norm            ? 0.2f
                                : dims.size() == 1 ? 0.5f
                                : name.find("embed_tokens") != std::string::npos
                                    ? 1.0f
                                    : 1.3f / std::sqrt(static_cast<float>(dims[0]));
        std::mt19937 random(static_cast<unsigned>(std::hash<std::string>()(name)));
        std::normal_distribution<float> normal(mean, deviation);
        std::vector<float> values(count);
        for (float& x : values) x = static_cast<float>(tessera::bfloat16(normal(random)));
        weights.add(std::move(name), dims, std::move(values));
    }

    /// All values of a tensor as it was added.
    std::vector<float> values(std::string_view name) const { return values_of(weights, name); }

    /// Takes a tensor away.
    void remove(std::string_view name) {
        tessera::memory_source rest;
        for (const auto& info : weights.tensors())
            if (info.name != name) rest.add(info.name, std::span(info.dims).first(info.rank), values(info.name));
        weights = std::move(rest);
    }

    void write(const fs::path& folder) const {
        tessera::safetensors::write(folder / "model.safetensors", weights);
        if (!byte_tensors.empty()) append_byte_tensors(folder / "model.safetensors");
        write_text(folder / "config.json", config.dump());
        nlohmann::json vocabulary_of_letters = {{"<unk>", 0}, {"<s>", 1}, {"</s>", 2}};
        for (std::uint64_t id = 3; id < vocabulary; ++id)
            vocabulary_of_letters[std::string(1, static_cast<char>('a' + id))] = id;
        const auto special = [](int id, const char* text) {
            return nlohmann::json{{"id", id},        {"content", text}, {"special", true},    {"single_word", false},
                                  {"lstrip", false}, {"rstrip", false}, {"normalized", false}};
        };
        write_text(folder / "tokenizer.json",
                   nlohmann::json{{"version", "1.0"},
                                  {"added_tokens", {special(0, "<unk>"), special(1, "<s>"), special(2, "</s>")}},
                                  {"model",
                                   {{"type", "BPE"},
                                    {"unk_token", "<unk>"},
                                    {"byte_fallback", true},
                                    {"vocab", vocabulary_of_letters},
                                    {"merges", nlohmann::json::array()}}}}
                       .dump());
    }

private:
    // Writes a file again, with the tensors of bytes after the others.
    void append_byte_tensors(const fs::path& file) const {
        const std::string old = read_text(file);
        std::uint64_t length = 0;
        std::memcpy(&length, old.data(), sizeof length);
        nlohmann::json header = nlohmann::json::parse(old.substr(8, length));
        std::string data = old.substr(8 + length);
        for (const byte_tensor& tensor : byte_tensors) {
            const std::vector<std::uint64_t> shape(tensor.dims.rbegin(), tensor.dims.rend());
            header[tensor.name] = {
                {"dtype", "U8"}, {"shape", shape}, {"data_offsets", {data.size(), data.size() + tensor.bytes.size()}}};
            data += tensor.bytes;
        }
        write_text(file, safetensors_bytes(header.dump(), data));
    }

    void add_attention() {
        add("model.embed_tokens.weight", {embedding, vocabulary});
        for (std::uint64_t layer = 0; layer < layers; ++layer) {
            const std::string prefix = "model.layers." + std::to_string(layer) + ".";
            add(prefix + "input_layernorm.weight", {embedding});
            add(prefix + "post_attention_layernorm.weight", {embedding});
            add(prefix + "self_attn.q_proj.weight", {embedding, embedding});
            add(prefix + "self_attn.k_proj.weight", {embedding, embedding / heads * key_heads});
            add(prefix + "self_attn.v_proj.weight", {embedding, embedding / heads * key_heads});
            add(prefix + "self_attn.o_proj.weight", {embedding, embedding});
        }
        add("model.norm.weight", {embedding});
        add("lm_head.weight", {embedding, vocabulary});
    }
};

}  // namespace support
