// Metadata and tensors that contradict each other are refused, for each kind of architecture.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <doctest/doctest.h>

#include "support/support.hpp"
#include "tessera/decoder/model.hpp"
#include "tessera/gguf/reader.hpp"

namespace {

using namespace tessera;

// A model with other metadata, or without one of its tensors.
class edited_model {
public:
    explicit edited_model(const gguf::reader& model)
        : model_(model), tensors_(model.tensors().begin(), model.tensors().end()), metadata_(model.metadata()) {}

    [[nodiscard]] std::span<const tensor_info> tensors() const { return tensors_; }
    [[nodiscard]] const tessera::metadata& metadata() const { return metadata_; }
    void read(const tensor_info& info, std::uint64_t first_row, std::uint64_t rows, std::span<float> out) const {
        const auto original = std::ranges::find(model_.tensors(), info.name, &tensor_info::name);
        model_.read(*original, first_row, rows, out);
    }

    void set(const std::string& key, metadata_value value) { metadata_.set(key, std::move(value)); }
    void drop(std::string_view name) {
        std::erase_if(tensors_, [&](const tensor_info& info) { return info.name == name; });
    }

private:
    const gguf::reader& model_;
    std::vector<tensor_info> tensors_;
    tessera::metadata metadata_;
};

// The decoder must refuse the model with a message that has these parts.
void check_refused(const edited_model& model, const std::vector<std::string>& parts) {
    const std::string message = support::message_of<error>([&] { const decoder::model decoder(model); });
    CAPTURE(message);
    for (const std::string& part : parts) {
        CAPTURE(part);
        CHECK(message.find(part) != std::string::npos);
    }
}

}  // namespace

TEST_CASE("metadata of every kind of layer are checked against each other and the tensors") {
    const auto folder = support::shared("golden/architectures");
    if (!folder) return;
    struct contradiction {
        std::string model, key;
        metadata_value value;
        std::vector<std::string> parts;
    };
    const auto u32 = [](std::uint32_t n) { return metadata_value(n); };
    const std::vector<contradiction> cases{
        {"deepseek_v3", "deepseek2.attention.key_length", u32(25), {"kv_lora_rank", "16 + 8", "got 25"}},
        {"deepseek_v3", "deepseek2.attention.value_length", u32(10), {"kv_lora_rank = 16", "got 10"}},
        {"deepseek_v3", "deepseek2.attention.key_length_mla", u32(8), {"wanted 9 to", "got 8"}},
        {"deepseek_v3", "deepseek2.attention.kv_lora_rank", u32(0), {"kv_lora_rank", "got 0"}},
        {"deepseek_v3", "deepseek2.attention.q_lora_rank", u32(21), {"attn_q_a.weight", "[32, 21]", "got [32, 20]"}},
        {"deepseek_v3", "deepseek2.attention.head_count_kv", u32(2), {"head_count_kv", "wanted 1", "got 2"}},
        {"deepseek_v3", "deepseek2.attention.head_count", u32(1u << 24), {"attn_q_b.weight", "got [20, 80]"}},
        {"deepseek_v3", "deepseek2.expert_group_count", u32(3), {"expert_group_count", "divisor of the 8", "got 3"}},
        {"deepseek_v3", "deepseek2.expert_group_used_count", u32(5), {"1 to 4", "got 5"}},
        {"deepseek_v3", "deepseek2.expert_used_count", u32(5), {"expert_used_count", "at most the 4", "got 5"}},
        {"deepseek_v3", "deepseek2.expert_gating_func", u32(4), {"expert_gating_func", "got 4"}},
        {"deepseek_v3", "deepseek2.expert_weights_norm", u32(1), {"expert_weights_norm", "bool", "uint32"}},
        {"deepseek_v3", "deepseek2.expert_weights_scale", -1.0f, {"expert_weights_scale", "above 0", "got -1"}},
        {"deepseek_v3", "deepseek2.expert_shared_count", u32(1), {"ffn_gate_shexp", "[32, 16]", "got [32, 32]"}},
        {"deepseek_v3", "deepseek2.leading_dense_block_count", u32(2), {"blk.1.ffn_gate.weight", "no such tensor"}},
        {"qwen3next", "qwen3next.ssm.time_step_rank", u32(5), {"ssm.time_step_rank", "multiple of the 2", "got 5"}},
        {"qwen3next", "qwen3next.ssm.inner_size", u32(47), {"ssm.inner_size", "6 x 8", "got 47"}},
        {"qwen3next", "qwen3next.ssm.conv_kernel", u32(0), {"ssm.conv_kernel", "got 0"}},
        {"qwen3next", "qwen3next.ssm.conv_kernel", u32(5), {"blk.0.ssm_conv1d.weight", "[5, 80]", "got [4, 80]"}},
        {"qwen3next", "qwen3next.full_attention_interval", u32(0), {"full_attention_interval", "got 0"}},
        {"qwen3next", "qwen3next.full_attention_interval", u32(2), {"blk.1.attn_qkv.weight", "got [32, 80]"}},
        {"qwen3next", "qwen3next.attention.value_length", u32(8), {"attention.value_length", "16", "got 8"}},
        {"gemma2", "gemma2.attention.sliding_window", std::string("all"), {"sliding_window", "got string"}},
        {"gemma2", "gemma2.final_logit_softcapping", -2.0f, {"final_logit_softcapping", "got -2"}},
        {"gemma3", "gemma3.rope.freq_base_swa", 1.0f, {"rope.freq_base_swa", "above 1", "got 1"}},
        {"glm4moe", "glm4moe.nextn_predict_layers", u32(4), {"nextn_predict_layers", "0 to 3", "got 4"}},
        {"glm4moe", "glm4moe.nextn_predict_layers", u32(0), {"blk.3.nextn.eh_proj.weight", "glm4moe"}},
        {"llama4", "llama4.interleave_moe_layer_step", u32(0), {"interleave_moe_layer_step", "got 0"}},
        {"llama4", "llama4.interleave_moe_layer_step", u32(1), {"blk.0.ffn_gate_inp.weight", "no such tensor"}},
        {"qwen3", "qwen3.attention.head_count", u32(1u << 24), {"blk.0.attn_q.weight", "got [32, 64]"}},
        {"phi3_long", "phi3.rope.dimension_count", u32(8), {"rope_factors_short.weight", "[4]", "got [3]"}},
    };
    for (const contradiction& c : cases) {
        CAPTURE(c.model);
        CAPTURE(c.key);
        const gguf::reader reader(*folder / (c.model + ".gguf"));
        edited_model model(reader);
        model.set(c.key, c.value);
        check_refused(model, c.parts);
    }
}

TEST_CASE("parts that an architecture requires must be there, parts that it lacks are refused") {
    const auto folder = support::shared("golden/architectures");
    if (!folder) return;
    struct part {
        std::string model, tensor;
    };
    const std::vector<part> required{
        {"qwen2moe", "blk.1.attn_k.bias"},
        {"qwen3", "blk.0.attn_q_norm.weight"},
        {"gptoss", "blk.2.attn_sinks.weight"},
        {"glm4moe", "blk.1.exp_probs_b.bias"},
        {"gemma2", "blk.3.post_ffw_norm.weight"},
        {"qwen2moe", "blk.0.ffn_gate_inp_shexp.weight"},
        {"qwen35", "blk.1.ssm_a"},
        {"deepseek_v3", "blk.0.attn_kv_a_norm.weight"},
        {"qwen35moe_fused", "blk.0.ffn_gate_up_exps.weight"},
    };
    for (const part& p : required) {
        const std::string& tensor = p.tensor;
        CAPTURE(tensor);
        const gguf::reader reader(*folder / (p.model + ".gguf"));
        edited_model model(reader);
        model.drop(tensor);
        const std::string missing = tensor.ends_with("gate_up_exps.weight") ? "blk.0.ffn_gate_exps.weight" : tensor;
        check_refused(model, {missing, "no such tensor"});
    }
    // The same tensors under an architecture that has no such part.
    const gguf::reader reader(*folder / "qwen3.gguf");
    edited_model model(reader);
    for (const auto& [key, value] : reader.metadata())
        if (key.starts_with("qwen3.")) model.set("llama." + key.substr(6), value);
    model.set("general.architecture", std::string("llama"));
    check_refused(model, {"blk.0.attn_q_norm.weight and 3 more", "llama"});
}

// Under sanitizers this finds what the checks of single keys forgot.
TEST_CASE("whatever a number in the metadata says, a model is refused or runs within its tensors") {
    const auto folder = support::shared("golden/architectures");
    if (!folder) return;
    const std::vector<std::int32_t> tokens{3, 17, 5, 39, 0, 22};
    std::size_t refusals = 0, runs = 0;
    for (const auto& file : support::fs::directory_iterator(*folder)) {
        if (file.path().extension() != ".gguf") continue;
        CAPTURE(file.path());
        const gguf::reader reader(file.path());
        edited_model model(reader);
        for (const auto& [key, value] : reader.metadata()) {
            if (!std::holds_alternative<std::uint32_t>(value) || key.starts_with("general.")) continue;
            for (const std::uint32_t n : {0u, 1u, 2u, 3u, 4u, 6u, 7u, 8u, 24u, 1u << 16, 1u << 24, 0xffff'ffffu}) {
                model.set(key, n);
                try {
                    const decoder::model decoder(model, {.threads = 1});
                    decoder::activations state = decoder.embed({tokens, 3});
                    decoder.run(state);
                    ++runs;
                } catch (const error&) {
                    ++refusals;
                }
            }
            model.set(key, value);
        }
    }
    CHECK(refusals > runs);
    CHECK(runs > 100);
}
