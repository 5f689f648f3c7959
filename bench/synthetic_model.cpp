// Writes a llama-shaped GGUF of random BF16 weights, for measuring memory and speed on files of any size:
//   synthetic_model OUT.gguf LAYERS [WIDTH [VOCABULARY.gguf [EXPERTS]]]
// WIDTH (a multiple of 256, default 2048) is the hidden size; the feed-forward size is 4 WIDTH, or with EXPERTS, of
// which a token meets eight, WIDTH / 2 each. The vocabulary is another model's, for programs that read text, or else
// 8192 tokens without names.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <random>
#include <string>
#include <variant>
#include <vector>

#include "tessera/core/half.hpp"
#include "tessera/core/metadata.hpp"
#include "tessera/core/printable.hpp"
#include "tessera/core/tensor_info.hpp"
#include "tessera/gguf.hpp"

namespace {

using namespace tessera;

// The vocabulary in the metadata of a GGUF file, or one without names.
metadata vocabulary_metadata(const char* path) {
    metadata properties;
    properties.set("tokenizer.ggml.model", std::string("no_vocab"));
    if (path == nullptr) return properties;
    const gguf::reader model(path);
    for (const auto& [key, value] : model.metadata())
        if (key.starts_with("tokenizer.")) properties.set(key, value);
    return properties;
}

void write_model(const std::string& path, std::uint32_t layers, std::uint32_t width, metadata properties,
                 std::uint32_t experts) {
    const auto* names = properties.find("tokenizer.ggml.tokens");
    const std::uint32_t vocabulary =
        names == nullptr ? 8192 : static_cast<std::uint32_t>(std::get<std::vector<std::string>>(*names).size());
    const std::uint32_t heads = width / 64;
    properties.set("general.architecture", std::string("llama"));
    properties.set("general.name", std::string("synthetic"));
    properties.set("llama.block_count", layers);
    properties.set("llama.context_length", std::uint32_t{2048});
    properties.set("llama.embedding_length", width);
    const std::uint32_t hidden = experts > 0 ? width / 2 : 4 * width;
    properties.set("llama.feed_forward_length", hidden);
    if (experts > 0) {
        properties.set("llama.expert_count", experts);
        properties.set("llama.expert_used_count", std::min(experts, 8u));
    }
    properties.set("llama.attention.head_count", heads);
    properties.set("llama.attention.head_count_kv", heads);
    properties.set("llama.attention.layer_norm_rms_epsilon", 1e-5f);
    properties.set("llama.rope.dimension_count", std::uint32_t{64});
    properties.set("llama.vocab_size", vocabulary);

    std::vector<tensor_info> tensors;
    const auto add = [&](std::string name, std::uint64_t columns, std::uint64_t rows, std::uint64_t matrices = 1) {
        tensors.push_back({.name = std::move(name),
                           .dims = {columns, rows, matrices, 1},
                           .rank = rows == 1      ? 1u
                                   : matrices > 1 ? 3u
                                                  : 2u,
                           .layout = *find_type(rows == 1 ? type_id::f32 : type_id::bf16)});
    };
    add("token_embd.weight", width, vocabulary);
    for (std::uint32_t layer = 0; layer < layers; ++layer) {
        const std::string prefix = "blk." + std::to_string(layer) + ".";
        add(prefix + "attn_norm.weight", width, 1);
        for (const char* name : {"attn_q.weight", "attn_k.weight", "attn_v.weight", "attn_output.weight"})
            add(prefix + name, width, width);
        add(prefix + "ffn_norm.weight", width, 1);
        const std::string kind = experts > 0 ? "_exps.weight" : ".weight";
        if (experts > 0) add(prefix + "ffn_gate_inp.weight", width, experts);
        add(prefix + "ffn_gate" + kind, width, hidden, std::max(experts, 1u));
        add(prefix + "ffn_up" + kind, width, hidden, std::max(experts, 1u));
        add(prefix + "ffn_down" + kind, hidden, width, std::max(experts, 1u));
    }
    add("output_norm.weight", width, 1);

    gguf::writer file(path, {});
    file.begin(tensors, properties);
    std::mt19937 random(1);
    std::normal_distribution<float> gauss(0.0f, 0.02f);
    std::vector<bfloat16> weights(1 << 20);
    for (bfloat16& weight : weights) weight = bfloat16(gauss(random));
    const std::vector<float> ones(width, 1.0f);
    for (const tensor_info& info : tensors) {
        if (info.rows() == 1) {
            file.write(info, 0, std::as_bytes(std::span(ones)));
            continue;
        }
        for (std::uint64_t row = 0; row < info.rows(); ++row)  // rows start anywhere in one megabyte of noise
            file.write(info, row,
                       std::as_bytes(
                           std::span(weights).subspan(row * 7919 % (weights.size() - info.columns()), info.columns())));
    }
    file.finish();
}

}  // namespace

int main(int argc, char** argv) {
    const long layers = argc > 2 ? std::strtol(argv[2], nullptr, 10) : 0;
    const long width = argc > 3 ? std::strtol(argv[3], nullptr, 10) : 2048;
    const long experts = argc > 5 ? std::strtol(argv[5], nullptr, 10) : 0;
    if (argc < 3 || argc > 6 || experts < 0 || experts == 1 || experts > 1024 || layers < 1 || layers > 512 ||
        width < 256 || width > 16384 || width % 256 != 0) {
        std::fputs("usage: synthetic_model OUT.gguf LAYERS [WIDTH [VOCABULARY.gguf [EXPERTS]]]\n", stderr);
        return 2;
    }
    try {
        write_model(argv[1], static_cast<std::uint32_t>(layers), static_cast<std::uint32_t>(width),
                    vocabulary_metadata(argc > 4 ? argv[4] : nullptr), static_cast<std::uint32_t>(experts));
    } catch (const std::exception& e) {
        std::fprintf(stderr, "synthetic_model: %s\n", tessera::printable(e.what()).c_str());
        return 1;
    }
}
