// Directories of Hugging Face models: config.json and the tensors that it speaks of.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "fuzz/fuzz.hpp"
#include "tessera/decoder/model_metadata.hpp"
#include "tessera/decoder/model_weights.hpp"
#include "tessera/format/builtin.hpp"
#include "tessera/gguf/header.hpp"
#include "tessera/gguf/layout.hpp"
#include "tessera/gguf/rules.hpp"
#include "tessera/huggingface/model.hpp"

using namespace tessera;
using fuzz::accepted;
using fuzz::require;

namespace {

/// A safetensors file with this header and as much data as it speaks of, all of them alike: small positive numbers in
/// every type of floats.
std::string safetensors_bytes(std::string_view header) {
    constexpr std::uint64_t most = 1 << 20;
    const fuzz::unmetered ours;
    std::uint64_t end = 0;
    const nlohmann::json json = nlohmann::json::parse(header, nullptr, false);
    if (json.is_object())
        for (const auto& entry : json) {
            if (!entry.is_object() || !entry.contains("data_offsets")) continue;
            const nlohmann::json& offsets = entry["data_offsets"];
            if (!offsets.is_array() || offsets.size() != 2 || !offsets[1].is_number_unsigned()) continue;
            end = std::max(end, std::min(most, offsets[1].get<std::uint64_t>()));
        }
    std::string bytes(8, '\0');
    const std::uint64_t length = header.size();
    std::memcpy(bytes.data(), &length, sizeof length);
    return bytes.append(header).append(end, '\x3c');
}

/// Tokens of one letter each, as many as fit any small model.
constexpr std::string_view small_tokenizer = R"({"added_tokens":[{"id":0,"content":"<unk>","special":true},
 {"id":1,"content":"<s>","special":true},{"id":2,"content":"</s>","special":true}],
 "model":{"type":"BPE","unk_token":"<unk>","byte_fallback":true,"vocab":{"<unk>":0,"<s>":1,"</s>":2,"a":3},"merges":[]}})";

void try_model(const huggingface::model& directory) {
    for (const tensor_info& info : directory.tensors()) {
        gguf::require_name("file", info.name);
        gguf::require_shape("file", info);
        std::vector<float> values(info.weights());
        directory.read(info, 0, info.rows(), values);
        require(std::ranges::all_of(values, [](float x) { return std::isfinite(x); }),
                "finite weights become finite weights");
        const byte_view packed = directory.packed(info, 0, info.rows());
        require(packed.empty() || packed.size() == info.bytes(), "stored rows are whole rows");
        const std::vector<std::byte> repacked = directory.repacked(info, 0, info.rows());
        require(repacked.empty() || repacked.size() == info.bytes(), "rows that are laid out anew are whole rows");
        if (info.rows() < 2) continue;
        const std::uint64_t first = info.rows() / 2, rows = info.rows() - first;
        std::vector<float> part(rows * info.columns());
        directory.read(info, first, rows, part);
        require(std::equal(part.begin(), part.end(), values.end() - static_cast<std::ptrdiff_t>(part.size())),
                "a row is the same, in whatever range it is read");
    }
    // What a file of it says is what was said.
    for (const auto& [key, value] : directory.metadata()) gguf::require_key("file", key);
    for (const gguf::file_layout& layout : gguf::plan_files(directory.tensors(), directory.metadata(), 0)) {
        std::vector<std::byte> file = layout.header();
        file.resize(layout.bytes);
        const gguf::header parsed = gguf::parse_header<stored_formats>(file, "file");
        require(parsed.properties == directory.metadata() && parsed.tensors.size() == directory.tensors().size(),
                "a header that is written is read again");
    }
    static_cast<void>(accepted("", [&] {
        const decoder::model_spec spec = decoder::make_model_spec(directory.metadata());
        static_cast<void>(decoder::bind_weights(directory, spec));
        return true;
    }));
}

void run_config(std::string_view input) {
    const auto parts = fuzz::parts_of(input, 4);
    fuzz::write_file("config.json", parts[0]);
    fuzz::write_file("model.safetensors", safetensors_bytes(parts.size() > 1 ? parts[1] : "{}"));
    fuzz::write_file("tokenizer.json", parts.size() > 2 && !parts[2].empty() ? parts[2] : small_tokenizer);
    if (parts.size() > 3) fuzz::write_file("generation_config.json", parts[3]);
    const auto directory = accepted(fuzz::folder().string(), [&] { return huggingface::model(fuzz::folder()); });
    if (directory) try_model(*directory);
}

// A Llama of one layer. seed_families writes one of each family.
void seed_config(fuzz::corpus& seeds) {
    const std::string config = R"({"architectures":["LlamaForCausalLM"],"hidden_size":8,"intermediate_size":12,
 "num_hidden_layers":1,"num_attention_heads":2,"num_key_value_heads":1,"vocab_size":4,"max_position_embeddings":128,
 "rms_norm_eps":1e-5,"rope_theta":10000.0,"rope_scaling":{"rope_type":"llama3","factor":8.0,"low_freq_factor":1.0,
 "high_freq_factor":4.0,"original_max_position_embeddings":64},"tie_word_embeddings":false,"hidden_act":"silu"})";
    struct shape {
        const char* name;
        std::uint64_t columns, rows;
    };
    nlohmann::json header;
    std::uint64_t end = 0;
    for (const auto& [name, columns, rows] : {shape{"model.embed_tokens.weight", 8, 4},
                                              {"model.norm.weight", 8, 0},
                                              {"lm_head.weight", 8, 4},
                                              {"model.layers.0.input_layernorm.weight", 8, 0},
                                              {"model.layers.0.post_attention_layernorm.weight", 8, 0},
                                              {"model.layers.0.self_attn.q_proj.weight", 8, 8},
                                              {"model.layers.0.self_attn.k_proj.weight", 8, 4},
                                              {"model.layers.0.self_attn.v_proj.weight", 8, 4},
                                              {"model.layers.0.self_attn.o_proj.weight", 8, 8},
                                              {"model.layers.0.mlp.gate_proj.weight", 8, 12},
                                              {"model.layers.0.mlp.up_proj.weight", 8, 12},
                                              {"model.layers.0.mlp.down_proj.weight", 12, 8}}) {
        const std::uint64_t begin = end;
        end += 2 * columns * std::max<std::uint64_t>(rows, 1);
        const std::vector<std::uint64_t> dims = rows == 0 ? std::vector{columns} : std::vector{rows, columns};
        header[name] = {{"dtype", "BF16"}, {"shape", dims}, {"data_offsets", {begin, end}}};
    }
    const std::array<std::string, 2> two{config, header.dump()};
    seeds.add(fuzz::joined(two));
    const std::array<std::string, 4> four{config, header.dump(), std::string(small_tokenizer),
                                          R"({"top_k":20,"top_p":0.8,"temperature":0.7,"repetition_penalty":1.05})"};
    seeds.add(fuzz::joined(four));
    seeds.add_shared("configs", "config.json");
    seeds.add_shared("cases", "config.json");
}

constexpr std::array all_targets{
    fuzz::target{"config",
                 run_config,
                 seed_config,
                 {.live = 64 << 20, .live_per_byte = 1024, .made = 256 << 20, .made_per_byte = 65536}},
};

}  // namespace

std::span<const fuzz::target> fuzz::targets() { return all_targets; }
