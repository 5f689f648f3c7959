// Writes a llama-shaped GGUF of random BF16 weights, for measuring memory and speed on files of any size:
//   synthetic_model OUT.gguf [layers=N] [width=N] [hidden=N] [kv-heads=N] [experts=N] [used=N] [tokens-of=FILE.gguf]
//   [vocabulary=N]
// Defaults: 1 layer of width 2048 with heads of 64 (from width 4096 on, of 128), all of them with keys of their own, a
// hidden size of 4 x width, or with experts, of which a token meets `used` (8), width / 2 each. The tokens are those of
// another model's file, for programs that read text, or 8192 without names; `vocabulary` adds unused ones to them.
#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <map>
#include <random>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/core/half.hpp"
#include "tessera/core/metadata.hpp"
#include "tessera/core/printable.hpp"
#include "tessera/core/tensor_info.hpp"
#include "tessera/gguf.hpp"

namespace {

using namespace tessera;

struct shape {
    std::uint32_t layers = 1, width = 2048, hidden = 0, kv_heads = 0, experts = 0, used = 8, vocabulary = 0;
    std::string tokens_of{};
};

// `count` tokens, the first of them those of the GGUF file, or none with names.
metadata vocabulary_metadata(const std::string& path, std::uint32_t& count) {
    metadata properties;
    if (path.empty()) {
        if (count == 0) count = 8192;
        properties.set("tokenizer.ggml.model", std::string("no_vocab"));
        return properties;
    }
    const gguf::reader model(path);
    for (const auto& [key, value] : model.metadata())
        if (key.starts_with("tokenizer.")) properties.set(key, value);
    auto names = properties.require<std::vector<std::string>>("tokenizer.ggml.tokens");
    const auto known = static_cast<std::uint32_t>(names.size());
    count = std::max(count, known);
    for (std::uint32_t token = known; token < count; ++token) names.push_back("<unused" + std::to_string(token) + ">");
    properties.set("tokenizer.ggml.tokens", names);
    constexpr std::int32_t unused = 5;  // of llama.cpp's token types
    if (const auto* types = properties.get<std::vector<std::int32_t>>("tokenizer.ggml.token_type")) {
        auto all = *types;
        all.resize(count, unused);
        properties.set("tokenizer.ggml.token_type", all);
    }
    if (const auto* scores = properties.get<std::vector<float>>("tokenizer.ggml.scores")) {
        auto all = *scores;
        all.resize(count, -1000.0f);
        properties.set("tokenizer.ggml.scores", all);
    }
    return properties;
}

void write_model(const std::string& path, shape s) {
    metadata properties = vocabulary_metadata(s.tokens_of, s.vocabulary);
    const std::uint32_t head = s.width < 4096 ? 64 : 128, heads = s.width / head;
    if (s.kv_heads == 0) s.kv_heads = heads;
    if (s.hidden == 0) s.hidden = s.experts > 0 ? s.width / 2 : 4 * s.width;
    properties.set("general.architecture", std::string("llama"));
    properties.set("general.name", std::string("synthetic"));
    properties.set("llama.block_count", s.layers);
    properties.set("llama.context_length", std::uint32_t{2048});
    properties.set("llama.embedding_length", s.width);
    properties.set("llama.feed_forward_length", s.hidden);
    if (s.experts > 0) {
        properties.set("llama.expert_count", s.experts);
        properties.set("llama.expert_used_count", std::min(s.experts, s.used));
    }
    properties.set("llama.attention.head_count", heads);
    properties.set("llama.attention.head_count_kv", s.kv_heads);
    properties.set("llama.attention.layer_norm_rms_epsilon", 1e-5f);
    properties.set("llama.rope.dimension_count", head);
    properties.set("llama.vocab_size", s.vocabulary);

    std::vector<tensor_info> tensors;
    const auto add = [&](std::string name, std::uint64_t columns, std::uint64_t rows, std::uint64_t matrices = 1) {
        tensors.push_back({.name = std::move(name),
                           .dims = {columns, rows, matrices, 1},
                           .rank = rows == 1      ? 1u
                                   : matrices > 1 ? 3u
                                                  : 2u,
                           .layout = *find_type(rows == 1 ? type_id::f32 : type_id::bf16)});
    };
    add("token_embd.weight", s.width, s.vocabulary);
    for (std::uint32_t layer = 0; layer < s.layers; ++layer) {
        const std::string prefix = "blk." + std::to_string(layer) + ".";
        add(prefix + "attn_norm.weight", s.width, 1);
        for (const char* name : {"attn_q.weight", "attn_output.weight"}) add(prefix + name, s.width, s.width);
        for (const char* name : {"attn_k.weight", "attn_v.weight"}) add(prefix + name, s.width, s.kv_heads * head);
        add(prefix + "ffn_norm.weight", s.width, 1);
        const std::string kind = s.experts > 0 ? "_exps.weight" : ".weight";
        const std::uint64_t matrices = std::max(s.experts, 1u);
        if (s.experts > 0) add(prefix + "ffn_gate_inp.weight", s.width, s.experts);
        for (const char* name : {"ffn_gate", "ffn_up"}) add(prefix + name + kind, s.width, s.hidden, matrices);
        add(prefix + "ffn_down" + kind, s.hidden, s.width, matrices);
    }
    add("output_norm.weight", s.width, 1);

    gguf::writer file(path, {});
    file.begin(tensors, properties);
    std::mt19937 random(1);
    std::normal_distribution<float> gauss(0.0f, 0.02f);
    std::vector<bfloat16> weights(1 << 20);
    for (bfloat16& weight : weights) weight = bfloat16(gauss(random));
    const std::vector<float> ones(s.width, 1.0f);
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

// Takes an argument "name=value". Throws when it is none, or its value is no number from 1 to 2^20.
void take(shape& s, std::string_view argument) {
    const std::size_t sign = argument.find('=');
    const std::string_view name = argument.substr(0, sign),
                           value = argument.substr(std::min(sign, argument.size() - 1) + 1);
    if (name == "tokens-of") {
        s.tokens_of = value;
        return;
    }
    const std::map<std::string_view, std::uint32_t*> numbers{
        {"layers", &s.layers},   {"width", &s.width}, {"hidden", &s.hidden},        {"kv-heads", &s.kv_heads},
        {"experts", &s.experts}, {"used", &s.used},   {"vocabulary", &s.vocabulary}};
    const auto field = numbers.find(name);
    if (field == numbers.end()) fail(argument, ": wanted one of the names above");
    std::uint32_t& number = *field->second;
    const auto [end, problem] = std::from_chars(value.data(), value.data() + value.size(), number);
    if (problem != std::errc() || end != value.data() + value.size() || number == 0 || number > 1u << 20)
        fail(argument, ": wanted a number from 1 to 1048576");
}

}  // namespace

int main(int argc, char** argv) {
    try {
        if (argc < 2) fail("wanted a file to write");
        shape s;
        for (int i = 2; i < argc; ++i) take(s, argv[i]);
        if (s.width % 256 != 0 || s.hidden % 256 != 0) fail("wanted sizes that are multiples of 256");
        write_model(argv[1], std::move(s));
    } catch (const std::exception& e) {
        std::fprintf(
            stderr,
            "usage: synthetic_model OUT.gguf [layers=N] [width=N] [hidden=N] [kv-heads=N] [experts=N] [used=N] "
            "[tokens-of=FILE.gguf] [vocabulary=N]\nsynthetic_model: %s\n",
            printable(e.what()).c_str());
        return 2;
    }
}
