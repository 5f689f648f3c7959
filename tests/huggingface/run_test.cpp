// Hugging Face directories converted and run, against a plain forward pass over their own tensors.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "decoder/all_logits.hpp"
#include "decoder/tiny_model.hpp"
#include "huggingface/directory.hpp"
#include "huggingface/families.hpp"
#include "huggingface/forward.hpp"
#include "huggingface/fused_families.hpp"
#include "huggingface/hybrid_families.hpp"
#include "support/support.hpp"
#include "tessera/decoder/model.hpp"
#include "tessera/encode/encoders.hpp"
#include "tessera/gguf/reader.hpp"
#include "tessera/gguf/writer.hpp"
#include "tessera/huggingface/model.hpp"
#include "tessera/quantize/quantize.hpp"
#include "tessera/select/plan.hpp"
#include "tessera/tensor/memory.hpp"

namespace {

using namespace tessera;
using support::all_logits;
using support::class_facts;
using support::model_directory;
using support::plain_forward;
using support::plain_rotation;
using support::worst_difference;
namespace families = support::families;

constexpr std::size_t window = 13;  // longer than the sliding windows and chunks of these models

// The model as the library runs it. Llama 4's chunks are not in the metadata: loaders take them to be 8192.
template <class Source>
decoder::model<Source> make_decoder(const Source& source, const class_facts& facts) {
    decoder::model_spec spec = decoder::make_model_spec(source.metadata());
    if (facts.chunk != 0) spec.local.chunk = spec.global.temperature.step = facts.chunk;
    const bool is_long = facts.context == plain_rotation::context::beyond_original;
    return {source, spec, {.threads = 2, .context = is_long ? std::size_t{512} : 0}};
}

struct run_case {
    const char* name = "";
    model_directory directory = {};
    class_facts facts = {};
    std::optional<model_directory> plain =
        {};                   // the same model as the oracle reads it, where that is another directory
    double tolerance = 1e-5;  // relative to the largest logit
};

// The model written as a GGUF file and run from there.
std::vector<float> logits_of_file(const huggingface::model& source, const run_case& c,
                                  std::span<const std::int32_t> tokens) {
    const support::scratch_dir folder;
    select::plan plan;
    for (const auto& info : source.tensors()) plan.choices.push_back({.target = info, .source = info.layout});
    gguf::writer writer(folder / "model.gguf");
    quantize(source, plan, nearest{}, from_importances{}, writer, source.metadata());
    const gguf::reader reader(folder / "model.gguf");
    return all_logits(make_decoder(reader, c.facts), tokens, window);
}

// Converts and runs a directory, and compares. Then shows that the comparison would see a wrong tensor of any kind and
// any wrong fact.
void check_run(const run_case& c) {
    CAPTURE(std::string(c.name));
    const support::scratch_dir folder;
    c.directory.write(folder.path());
    const huggingface::model source(folder.path());
    const auto decoder = make_decoder(source, c.facts);
    const auto tokens = support::random_tokens(2 * window, decoder.vocabulary());
    const std::vector<float> logits = all_logits(decoder, tokens, window);
    CHECK(logits == logits_of_file(source, c, tokens));
    const model_directory& plain = c.plain ? *c.plain : c.directory;
    plain_forward oracle(plain, c.facts);
    CHECK(worst_difference(logits, oracle, tokens, window) < c.tolerance);

    const std::span one_window = std::span(tokens).first(window);
    const auto check_wrong = [&](const plain_forward& wrong) {
        CHECK(worst_difference(logits, wrong, one_window, window) > 1e-3);
    };
    oracle.logits(one_window);
    for (const std::string& kind : oracle.kinds()) {
        CAPTURE(kind);
        plain_forward disturbed = oracle;
        disturbed.disturb(kind);
        check_wrong(disturbed);
    }
    using pairs = plain_rotation::pairs;
    class_facts turned = c.facts;
    turned.pairs = turned.pairs == pairs::halves ? pairs::neighbours : pairs::halves;
    check_wrong({plain, turned});
    const auto check_without = [&](auto class_facts::* fact) {
        class_facts without = c.facts;
        without.*fact = class_facts{}.*fact;
        if (without != c.facts) check_wrong({plain, without});
    };
    check_without(&class_facts::norm_offset);
    check_without(&class_facts::embedding_scale);
    check_without(&class_facts::context);
    check_without(&class_facts::period);
    check_without(&class_facts::local_rope_base);
    check_without(&class_facts::chunk);
    check_without(&class_facts::activation);
    check_without(&class_facts::router);
    check_without(&class_facts::renormalised);
    check_without(&class_facts::experts);
}

}  // namespace

TEST_CASE("runs: Llama, Mistral, Mixtral") {
    check_run({.name = "Llama", .directory = model_directory::llama()});
    model_directory llama3 = model_directory::llama();
    llama3.config["rope_theta"] = 10.0;
    llama3.config["attention_bias"] = true;
    llama3.config["rope_scaling"] = {{"rope_type", "llama3"},
                                     {"factor", 8.0},
                                     {"low_freq_factor", 1.0},
                                     {"high_freq_factor", 4.0},
                                     {"original_max_position_embeddings", 32}};
    for (const std::string layer : {"0", "1"})
        for (const auto& [matrix, rows] :
             {std::pair("q", 16u), std::pair("k", 8u), std::pair("v", 8u), std::pair("o", 16u)})
            llama3.add("model.layers." + layer + ".self_attn." + matrix + "_proj.bias", {rows});
    check_run({.name = "Llama 3, with biases", .directory = llama3});
    model_directory mistral = model_directory::llama();
    mistral.config["architectures"] = {"MistralForCausalLM"};
    mistral.config["sliding_window"] = nullptr;
    check_run({.name = "Mistral", .directory = mistral});
    check_run({.name = "Mixtral", .directory = model_directory::mixtral(), .facts = {.renormalised = true}});
}

TEST_CASE("runs: Qwen 2 and 3") {
    check_run({.name = "Qwen2", .directory = families::qwen2_yarn().directory});
    check_run({.name = "Qwen2Moe", .directory = families::qwen2moe().directory});
    check_run({.name = "Qwen3", .directory = families::qwen3().directory});
    for (const auto form : {families::experts_in::matrices, families::experts_in::one_tensor})
        check_run({.name = "Qwen3Moe", .directory = families::qwen3moe(form).directory});
}

TEST_CASE("runs: Gemma 2 and 3") {
    class_facts facts{
        .norm_offset = 1, .embedding_scale = std::sqrt(32.0), .period = 2, .activation = class_facts::gate::gelu};
    check_run({.name = "Gemma2", .directory = families::gemma2().directory, .facts = facts});

    facts.period = 6;
    facts.local_rope_base = 10000;
    auto gemma3 = families::gemma3();
    check_run({.name = "Gemma3", .directory = gemma3.directory, .facts = facts});
    gemma3.directory.config["rms_norm_eps"] = 1e-6;  // the text part's default
    check_run({.name = "Gemma3, multimodal",
               .directory = families::multimodal(gemma3, "model.language_model.").directory,
               .facts = facts,
               .plain = gemma3.directory});
}

// Configurations have a sliding window, which no loader of GGUF heeds.
TEST_CASE("runs: Phi 3, within its original context and beyond it") {
    for (const auto context : {plain_rotation::context::within_original, plain_rotation::context::beyond_original})
        check_run({.name = "Phi3", .directory = families::phi3().directory, .facts = {.context = context}});
}

TEST_CASE("runs: Llama 4") {
    check_run({.name = "Llama4",
               .directory = families::llama4().directory,
               .facts = {.pairs = plain_rotation::pairs::neighbours,
                         .period = 4,
                         .chunk = 4,
                         .router = class_facts::routing::sigmoid_of_best,
                         .experts = class_facts::expert_layout::columns}});
}

TEST_CASE("runs: gpt-oss, in full precision and as published") {
    class_facts facts{.period = 2,
                      .activation = class_facts::gate::clamped,
                      .router = class_facts::routing::softmax_of_best,
                      .experts = class_facts::expert_layout::alternating_columns};
    check_run({.name = "GptOss", .directory = families::gpt_oss().directory, .facts = facts});

    const families::published_gpt_oss published;
    facts.experts = class_facts::expert_layout::alternating_rows;
    check_run({.name = "GptOss, published",
               .directory = published.family.directory,
               .facts = facts,
               .plain = published.unpacked()});
}

TEST_CASE("runs: GLM 4.5") {
    check_run({.name = "Glm4Moe",
               .directory = families::glm4moe(1).directory,
               .facts = {.router = class_facts::routing::sigmoid}});
}

TEST_CASE("runs: DeepSeek V2 and V3") {
    class_facts facts{.pairs = plain_rotation::pairs::neighbours};
    check_run({.name = "DeepseekV2", .directory = families::deepseek2(3).directory, .facts = facts});
    facts.router = class_facts::routing::sigmoid;
    check_run({.name = "DeepseekV3", .directory = families::deepseek3().directory, .facts = facts});
    facts.renormalised = true;
    check_run({.name = "Glm4MoeLite", .directory = families::glm4moe_lite().directory, .facts = facts});
    facts = {.pairs = plain_rotation::pairs::neighbours};
    check_run({.name = "Youtu", .directory = families::youtu().directory, .facts = facts});
}

namespace {

// transformers adds 1e-6 to the square of the length that queries and keys are divided by, loaders of GGUF the epsilon
// of the norms: the same in all checkpoints.
model_directory with_real_epsilon(model_directory directory) {
    auto& config = directory.config;
    (config.contains("text_config") ? config["text_config"] : config)["rms_norm_eps"] = 1e-6;
    return directory;
}

}  // namespace

TEST_CASE("runs: Qwen3-Next and Qwen3.5") {
    class_facts facts{.norm_offset = 1};
    check_run({.name = "Qwen3_5", .directory = with_real_epsilon(families::qwen35(false).directory), .facts = facts});
    facts.renormalised = true;
    check_run({.name = "Qwen3Next", .directory = with_real_epsilon(families::qwen3next().directory), .facts = facts});
    check_run({.name = "Qwen3_5Moe", .directory = with_real_epsilon(families::qwen35(true).directory), .facts = facts});
}

namespace {

// The tensors of a model without those whose names end so, and its metadata.
memory_source without(const huggingface::model& source, const std::vector<std::string_view>& endings) {
    memory_source rest;
    rest.metadata() = source.metadata();
    for (const auto& info : source.tensors())
        if (std::none_of(endings.begin(), endings.end(), [&](auto ending) { return info.name.ends_with(ending); }))
            rest.add(info.name, std::span(info.dims).first(info.rank), support::values_of(source, info.name));
    return rest;
}

}  // namespace

TEST_CASE("runs: files of older layouts") {
    const support::scratch_dir folder;
    const auto tokens = support::random_tokens(2 * window, 40);
    const auto difference = [&](const memory_source& older, const plain_forward& oracle) {
        return worst_difference(all_logits(decoder::model(older), tokens, window), oracle, tokens, window);
    };

    const model_directory deepseek = families::deepseek3().directory;
    deepseek.write(folder.path());
    memory_source unsplit = without(huggingface::model(folder.path()), {"attn_k_b.weight", "attn_v_b.weight"});
    for (const std::string layer : {"0", "1", "2"})
        unsplit.add("blk." + layer + ".attn_kv_b.weight",
                    {families::rank, families::heads * (families::plain + families::value_size)},
                    deepseek.values("model.layers." + layer + ".self_attn.kv_b_proj.weight"));
    const std::string prefix = "deepseek2.attention.";
    for (const char* key : {"key_length_mla", "value_length_mla"}) unsplit.metadata().erase(prefix + key);
    unsplit.metadata().set(prefix + "key_length", std::uint32_t{families::plain + families::rotary});
    unsplit.metadata().set(prefix + "value_length", std::uint32_t{families::value_size});
    for (const char* key : {"head_count", "head_count_kv"})  // once per layer
        unsplit.metadata().set(prefix + key, std::vector<std::int32_t>(3, families::heads));
    const class_facts facts{.pairs = plain_rotation::pairs::neighbours, .router = class_facts::routing::sigmoid};
    CHECK(difference(unsplit, {deepseek, facts}) < 1e-5);

    unsplit.metadata().set(prefix + "head_count", std::vector<std::int32_t>{4, 4, 2});
    CHECK(support::message_of<error>([&] { const decoder::model decoder(unsplit); }) ==
          "metadata key deepseek2.attention.head_count: wanted the same count for all layers, got different ones");

    const model_directory qwen = with_real_epsilon(families::qwen3next().directory);
    qwen.write(folder.path());
    memory_source fused = without(huggingface::model(folder.path()), {"attn_qkv.weight", "attn_gate.weight"});
    for (const std::string layer : {"0", "1", "2"})
        fused.add("blk." + layer + ".ssm_in.weight",
                  {families::embedding, families::mixed + families::linear_values * families::linear_head},
                  qwen.values("model.layers." + layer + ".linear_attn.in_proj_qkvz.weight"));
    CHECK(difference(fused, {qwen, {.norm_offset = 1, .renormalised = true}}) < 1e-5);
}
