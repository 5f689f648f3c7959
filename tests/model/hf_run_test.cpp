// Hugging Face directories converted and run, against a plain forward pass over their own tensors.
#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <set>
#include <span>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "model/all_logits.hpp"
#include "model/hf_directory.hpp"
#include "model/hf_families.hpp"
#include "model/hf_forward.hpp"
#include "model/hf_fused_families.hpp"
#include "model/tiny_model.hpp"
#include "support/support.hpp"
#include "tessera/model/decoder.hpp"
#include "tessera/model/hf_model.hpp"

namespace {

using namespace tessera;
using support::hf_directory;
using support::hf_facts;
using support::hf_forward;
using support::hf_rotation;
using support::worst_difference;
namespace families = support::families;

constexpr std::size_t window = 13;  // longer than the sliding windows and chunks of these models

// The model as the library runs it. Llama 4's chunks are not in the metadata: libraries take them to be 8192.
model::decoder<model::hf_model> make_decoder(const model::hf_model& source, const hf_facts& facts) {
    model::decoder_spec spec = model::make_decoder_spec(source.metadata());
    if (facts.chunk != 0) spec.local.chunk = spec.global.growth_step = facts.chunk;
    const bool is_long = facts.context == hf_rotation::context::beyond_original;
    return {source, spec, {.threads = 2, .context = is_long ? std::size_t{512} : 0}};
}

// The name of a tensor without layers' and experts' numbers.
std::string kind_of(const std::string& name) {
    std::string kind;
    std::copy_if(name.begin(), name.end(), std::back_inserter(kind), [](unsigned char c) { return !std::isdigit(c); });
    return kind;
}

// The directory with all tensors of a kind changed by a tenth.
hf_directory changed(const hf_directory& directory, const std::string& kind) {
    hf_directory other = directory;
    other.weights = {};
    for (const auto& info : directory.weights.tensors()) {
        std::vector<float> values = directory.values(info.name);
        if (kind_of(info.name) == kind)
            for (std::size_t i = 0; i < values.size(); ++i) values[i] *= i % 2 == 0 ? 1.1f : 0.9f;
        other.weights.add(info.name, std::span(info.dims).first(info.rank), std::move(values));
    }
    return other;
}

// Runs the converted directory and compares. Then shows that the comparison sees every tensor and every fact.
void check_run(const char* name, const hf_directory& directory, const hf_facts& facts = {}) {
    CAPTURE(name);
    const support::scratch_dir folder;
    directory.write(folder.path());
    const model::hf_model source(folder.path());
    const auto decoder = make_decoder(source, facts);
    const auto tokens = support::random_tokens(2 * window, decoder.vocabulary());
    hf_forward oracle(directory, facts);
    const double difference = worst_difference(decoder, oracle, tokens, window);
    CHECK(difference < 1e-5);
    CHECK(difference > 0);
    MESSAGE(name << " " << difference);

    const std::span one_window = std::span(tokens).first(window);
    oracle.logits(one_window);
    std::set<std::string> kinds;
    for (const std::string& tensor : oracle.used()) kinds.insert(kind_of(tensor));
    for (const std::string& kind : kinds) {
        CAPTURE(kind);
        const hf_directory other = changed(directory, kind);
        const double d = worst_difference(decoder, hf_forward(other, facts), one_window, window);
        CHECK(d > 1e-3);
        if (d < 1e-2) MESSAGE(kind << " " << d);
    }
    hf_facts wrong = facts;
    wrong.pairs =
        facts.pairs == hf_rotation::pairs::halves ? hf_rotation::pairs::neighbours : hf_rotation::pairs::halves;
    CHECK(worst_difference(decoder, hf_forward(directory, wrong), one_window, window) > 1e-2);
}

}  // namespace

TEST_CASE("runs: Llama, Mistral, Mixtral") {
    hf_directory llama = hf_directory::llama();
    check_run("Llama", llama);
    llama.config["rope_theta"] = 10.0;
    llama.config["rope_scaling"] = {{"rope_type", "llama3"},
                                    {"factor", 8.0},
                                    {"low_freq_factor", 1.0},
                                    {"high_freq_factor", 4.0},
                                    {"original_max_position_embeddings", 32}};
    for (const std::string layer : {"0", "1"})
        for (const char* matrix : {"q", "k", "v", "o"})
            llama.add("model.layers." + layer + ".self_attn." + matrix + "_proj.bias",
                      {*matrix == 'q' || *matrix == 'o' ? 16u : 8u});
    check_run("Llama 3, with biases", llama);
    hf_directory mistral = hf_directory::llama();
    mistral.config["architectures"] = {"MistralForCausalLM"};
    mistral.config["sliding_window"] = nullptr;
    check_run("Mistral", mistral);
    check_run("Mixtral", hf_directory::mixtral(), {.renormalised = true});
}

TEST_CASE("runs: Qwen 2 and 3") {
    check_run("Qwen2", families::qwen2_yarn().directory);
    check_run("Qwen2Moe", families::qwen2moe().directory);
    check_run("Qwen3", families::qwen3().directory);
    check_run("Qwen3Moe", families::qwen3moe(families::experts_in::matrices).directory);
    check_run("Qwen3Moe, fused", families::qwen3moe(families::experts_in::one_tensor).directory);
}

TEST_CASE("runs: Gemma 2 and 3") {
    const double root = std::sqrt(32.0);
    check_run("Gemma2", families::gemma2().directory,
              {.norm_offset = 1, .embedding_scale = root, .period = 2, .activation = hf_facts::gate::gelu});
    const hf_facts facts{.norm_offset = 1,
                         .embedding_scale = root,
                         .period = 6,
                         .local_rope_base = 10000,
                         .activation = hf_facts::gate::gelu};
    check_run("Gemma3", families::gemma3().directory, facts);
}

TEST_CASE("runs: Phi 3, within its original context and beyond it") {
    check_run("Phi3", families::phi3().directory);
    check_run("Phi3, long", families::phi3().directory, {.context = hf_rotation::context::beyond_original});
}

TEST_CASE("runs: Llama 4") {
    check_run("Llama4", families::llama4().directory,
              {.pairs = hf_rotation::pairs::neighbours,
               .period = 4,
               .chunk = 4,
               .router = hf_facts::routing::sigmoid_of_best,
               .experts = hf_facts::expert_layout::columns});
}

TEST_CASE("runs: gpt-oss") {
    check_run("GptOss", families::gpt_oss().directory,
              {.period = 2,
               .activation = hf_facts::gate::clamped,
               .router = hf_facts::routing::softmax_of_best,
               .experts = hf_facts::expert_layout::alternating_columns});
}

TEST_CASE("runs: GLM 4.5") {
    check_run("Glm4Moe", families::glm4moe(1).directory, {.router = hf_facts::routing::sigmoid});
}

TEST_CASE("runs: DeepSeek V2 and V3") {
    hf_directory lite = families::deepseek2(3).directory;
    lite.config["rope_scaling"]["mscale"] = 0.707;
    check_run("DeepseekV2", lite, {.pairs = hf_rotation::pairs::neighbours});
    check_run("DeepseekV3", families::deepseek3().directory,
              {.pairs = hf_rotation::pairs::neighbours, .router = hf_facts::routing::sigmoid});
}

TEST_CASE("runs: Qwen3-Next and Qwen3.5") {
    const hf_facts facts{.norm_offset = 1, .renormalised = true};
    check_run("Qwen3Next", families::qwen3next().directory, facts);
    check_run("Qwen3_5", families::qwen35(false).directory, facts);
    check_run("Qwen3_5Moe", families::qwen35(true).directory, facts);
}
