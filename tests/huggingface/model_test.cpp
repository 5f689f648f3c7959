// Hugging Face directories as GGUF sources: names, order, transforms, metadata.
#include <cmath>
#include <cstdint>
#include <cstring>
#include <numbers>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

#include "huggingface/directory.hpp"
#include "safetensors/raw_file.hpp"
#include "support/support.hpp"
#include "tessera/gguf/reader.hpp"
#include "tessera/huggingface/model.hpp"
#include "tessera/safetensors/reader.hpp"

namespace {

using support::model_directory;
using support::values_of;
using tessera::type_id;
namespace huggingface = tessera::huggingface;

// The permutation of rotary rows as a loop over the old ones. `width` is 1 for a vector.
std::vector<float> permuted(const std::vector<float>& old, std::size_t heads, std::size_t width) {
    const std::size_t head_rows = old.size() / width / heads;
    std::vector<float> made(old.size());
    for (std::size_t h = 0; h < heads; ++h)
        for (std::size_t half = 0; half < 2; ++half)
            for (std::size_t j = 0; j < head_rows / 2; ++j)
                for (std::size_t c = 0; c < width; ++c)
                    made[(h * head_rows + 2 * j + half) * width + c] =
                        old[(h * head_rows + half * head_rows / 2 + j) * width + c];
    return made;
}

}  // namespace

TEST_CASE("llama: names, order, types, values") {
    const support::scratch_dir folder;
    model_directory directory = model_directory::llama();
    directory.config["attention_bias"] = true;
    directory.config["num_hidden_layers"] = 1;
    for (const auto& info :
         std::vector<tessera::tensor_info>(directory.weights.tensors().begin(), directory.weights.tensors().end()))
        if (info.name.starts_with("model.layers.1.")) directory.remove(info.name);
    for (const auto& [kind, rows] : {std::pair("q", 16u), std::pair("k", 8u), std::pair("v", 8u), std::pair("o", 16u)})
        directory.add(std::string("model.layers.0.self_attn.") + kind + "_proj.bias", {rows});
    directory.add("model.layers.0.self_attn.rotary_emb.inv_freq", {2});  // dropped
    directory.write(folder.path());
    const huggingface::model model(folder.path());

    std::vector<std::string> names;
    for (const auto& info : model.tensors()) names.push_back(info.name);
    CHECK(names == std::vector<std::string>{"token_embd.weight", "blk.0.attn_norm.weight", "blk.0.attn_q.weight",
                                            "blk.0.attn_q.bias", "blk.0.attn_k.weight", "blk.0.attn_k.bias",
                                            "blk.0.attn_v.weight", "blk.0.attn_v.bias", "blk.0.attn_output.weight",
                                            "blk.0.attn_output.bias", "blk.0.ffn_norm.weight", "blk.0.ffn_gate.weight",
                                            "blk.0.ffn_down.weight", "blk.0.ffn_up.weight", "output_norm.weight",
                                            "output.weight"});

    CHECK(values_of(model, "token_embd.weight") == directory.values("model.embed_tokens.weight"));
    CHECK(values_of(model, "output.weight") == directory.values("lm_head.weight"));
    CHECK(values_of(model, "blk.0.ffn_down.weight") == directory.values("model.layers.0.mlp.down_proj.weight"));
    CHECK(values_of(model, "blk.0.attn_v.bias") == directory.values("model.layers.0.self_attn.v_proj.bias"));
    CHECK(values_of(model, "blk.0.attn_q.weight") ==
          permuted(directory.values("model.layers.0.self_attn.q_proj.weight"), 4, 16));
    CHECK(values_of(model, "blk.0.attn_k.weight") ==
          permuted(directory.values("model.layers.0.self_attn.k_proj.weight"), 2, 16));
    CHECK(values_of(model, "blk.0.attn_q.bias") ==
          permuted(directory.values("model.layers.0.self_attn.q_proj.bias"), 4, 1));
    CHECK(model.files().size() == 1);
    CHECK(model.notes().empty());

    // transformers passes over biases that config.json does not speak of.
    directory.config.erase("attention_bias");
    directory.write(folder.path());
    CHECK(support::message_of<tessera::error>([&] { huggingface::model{folder.path()}; })
              .ends_with("tensor model.layers.0.self_attn.q_proj.bias: wanted none, as config.json has attention_bias "
                         "nothing, got one"));
    directory.config["attention_bias"] = true;
    directory.remove("model.layers.0.self_attn.o_proj.bias");
    directory.write(folder.path());
    CHECK(support::message_of<tessera::error>([&] {
              huggingface::model{folder.path()};
          }).ends_with("tensor model.layers.0.self_attn.o_proj.bias: wanted by the architecture, got no such tensor"));
}

TEST_CASE("every range of rows reads as the whole tensor does, and packed rows are its bytes or nothing") {
    const support::scratch_dir folder;
    model_directory::mixtral().write(folder.path());
    const huggingface::model model(folder.path());
    std::set<std::string> with_bytes;
    for (const tessera::tensor_info& info : model.tensors()) {
        CAPTURE(info.name);
        const std::vector<float> whole = values_of(model, info.name);
        for (std::uint64_t first = 0; first <= info.rows(); ++first)
            for (std::uint64_t rows = 0; first + rows <= info.rows(); ++rows) {
                std::vector<float> part(rows * info.columns());
                model.read(info, first, rows, part);
                REQUIRE(std::equal(part.begin(), part.end(),
                                   whole.begin() + static_cast<std::ptrdiff_t>(first * info.columns())));
                const tessera::byte_view bytes = model.packed(info, first, rows);
                if (bytes.empty()) continue;
                with_bytes.insert(info.name);
                REQUIRE(bytes.size() == part.size() * sizeof(float));
                REQUIRE(std::memcmp(bytes.data(), part.data(), bytes.size()) == 0);
            }
        std::vector<float> room(info.columns());
        CHECK_THROWS_AS(model.read(info, info.rows(), 1, room), tessera::error);
        CHECK_THROWS_AS(model.read(info, 0, 1, std::span(room).subspan(1)), tessera::error);
    }
    CHECK(with_bytes.size() == model.tensors().size());  // of a permuted tensor, single rows

    const tessera::tensor_info& up = *model.find("blk.0.ffn_up_exps.weight");
    CHECK(model.packed(up, 0, 12).size() == 12 * up.row_bytes());
    CHECK(model.packed(up, 6, 12).empty());  // of two experts
    CHECK(model.packed(*model.find("blk.0.attn_q.weight"), 0, 2).empty());
}

TEST_CASE("mixtral: experts are stacked, the router is F32") {
    const support::scratch_dir folder;
    const model_directory directory = model_directory::mixtral();
    directory.write(folder.path());
    const huggingface::model model(folder.path());
    const auto& metadata = model.metadata();
    CHECK(metadata.require<std::string>("general.architecture") == "llama");
    CHECK(metadata.require<std::uint32_t>("llama.expert_count") == 3);
    CHECK(metadata.require<std::uint32_t>("llama.expert_used_count") == 2);
    CHECK(model.find("blk.0.ffn_gate_inp.weight")->dims == std::array<std::uint64_t, 4>{16, 3, 1, 1});
    CHECK(model.find("blk.1.ffn_down_exps.weight")->dims == std::array<std::uint64_t, 4>{12, 16, 3, 1});
    CHECK(model.find("blk.1.ffn_down_exps.weight")->rank == 3);
    const std::pair<const char*, const char*> kinds[] = {{"gate", "w1"}, {"down", "w2"}, {"up", "w3"}};
    for (const auto& [gguf, source] : kinds) {
        std::vector<float> stacked;
        for (const char* expert : {"0", "1", "2"}) {
            const std::vector<float> one = directory.values("model.layers.1.block_sparse_moe.experts." +
                                                            std::string(expert) + "." + source + ".weight");
            stacked.insert(stacked.end(), one.begin(), one.end());
        }
        CHECK(values_of(model, "blk.1.ffn_" + std::string(gguf) + "_exps.weight") == stacked);
    }
}

TEST_CASE("metadata: keys, types, values") {
    const support::scratch_dir folder;
    model_directory directory = model_directory::llama();
    directory.config["_name_or_path"] = "/home/someone/some-org/Tiny-Llama/";
    directory.config["head_dim"] = 4;
    directory.write(folder.path());
    support::write_text(
        folder / "generation_config.json",
        R"({"temperature":0.5,"top_k":20,"top_p":null,"min_p":0.05,"eos_token_id":[2,3],"repetition_penalty":1.1})");
    const huggingface::model model(folder.path());
    const auto& m = model.metadata();

    CHECK(m.require<std::string>("general.architecture") == "llama");
    CHECK(m.require<std::string>("general.type") == "model");
    CHECK(m.require<std::string>("general.name") == "Tiny-Llama");
    CHECK(m.require<std::string>("general.size_label") == "3.1K");
    CHECK(m.require<float>("general.sampling.temp") == 0.5f);
    CHECK(m.require<std::int32_t>("general.sampling.top_k") == 20);
    CHECK(m.require<float>("general.sampling.min_p") == 0.05f);
    CHECK(m.require<float>("general.sampling.penalty_repeat") == 1.1f);
    CHECK(!m.contains("general.sampling.top_p"));
    CHECK(!m.contains("general.file_type"));
    CHECK(m.require<std::uint32_t>("llama.context_length") == 128);
    CHECK(m.require<std::uint32_t>("llama.embedding_length") == 16);
    CHECK(m.require<std::uint32_t>("llama.block_count") == 2);
    CHECK(m.require<std::uint32_t>("llama.feed_forward_length") == 12);
    CHECK(m.require<std::uint32_t>("llama.attention.head_count") == 4);
    CHECK(m.require<std::uint32_t>("llama.attention.head_count_kv") == 2);
    CHECK(m.require<std::uint32_t>("llama.attention.key_length") == 4);
    CHECK(m.require<std::uint32_t>("llama.attention.value_length") == 4);
    CHECK(m.require<float>("llama.attention.layer_norm_rms_epsilon") == 1e-5f);
    CHECK(m.require<std::uint32_t>("llama.rope.dimension_count") == 4);
    CHECK(m.require<float>("llama.rope.freq_base") == 10000.0f);
    CHECK(m.require<std::uint32_t>("llama.vocab_size") == 10);
    CHECK(m.require<std::string>("tokenizer.ggml.model") == "llama");
    CHECK(m.require<std::vector<std::string>>("tokenizer.ggml.tokens").size() == 10);

    directory.config.erase("head_dim");
    directory.config.erase("_name_or_path");
    directory.config.erase("num_key_value_heads");
    for (const char* layer : {"0", "1"})  // every head its own keys now
        for (const char* kind : {"k", "v"}) {
            const std::string name = "model.layers." + std::string(layer) + ".self_attn." + kind + "_proj.weight";
            directory.remove(name);
            directory.add(name, {16, 16});
        }
    directory.write(folder.path());
    const huggingface::model plain(folder.path());
    CHECK(!plain.metadata().contains("llama.attention.key_length"));
    CHECK(!plain.metadata().contains("llama.attention.head_count_kv"));
    CHECK(plain.metadata().require<std::string>("general.name") == folder.path().filename().string());
    CHECK(plain.find("blk.0.attn_k.weight")->rows() == 16);
}

TEST_CASE("generation_config.json: settings that cannot be read are left out with a note") {
    const support::scratch_dir folder;
    model_directory::llama().write(folder.path());
    const auto with = [&](std::string_view text) {
        support::write_text(folder / "generation_config.json", text);
        return huggingface::model(folder.path());
    };
    const huggingface::model all = with(R"({"top_k": -1, "temperature": "0.6", "top_p": 0.95, "min_p": Infinity})");
    CHECK(all.metadata().require<std::int32_t>("general.sampling.top_k") == 0);  // all tokens
    CHECK(all.metadata().require<float>("general.sampling.temp") == 0.6f);
    CHECK(all.metadata().require<float>("general.sampling.top_p") == 0.95f);
    CHECK(!all.metadata().contains("general.sampling.min_p"));
    REQUIRE(all.notes().size() == 1);
    CHECK(all.notes()[0] ==
          (folder / "generation_config.json").string() +
              ": min_p: wanted a number that a float can hold, got \"Infinity\" (left out: it is only "
              "a hint to samplers)");
    const huggingface::model whole = with(R"({"top_k": 20.0, "repetition_penalty": [1]})");
    CHECK(whole.metadata().require<std::int32_t>("general.sampling.top_k") == 20);
    CHECK(whole.notes().size() == 1);
    for (const char* top_k : {"20.5", "-2", "4e9", "\"many\"", "true"}) {
        const huggingface::model odd = with("{\"top_k\": " + std::string(top_k) + "}");
        CHECK(!odd.metadata().contains("general.sampling.top_k"));
        CHECK(odd.notes().size() == 1);
    }
    for (const char* text : {"", "[1]", "{", "version https://git-lfs.github.com/spec/v1\noid"}) {
        const huggingface::model model = with(text);
        CHECK(model.notes().size() == 1);
    }
}

TEST_CASE("size labels have two digits") {
    using tessera::huggingface::size_label;
    CHECK(size_label(999, 0, 0) == "999");
    CHECK(size_label(2'624'000, 0, 0) == "2.6M");
    CHECK(size_label(8'030'261'248, 0, 0) == "8B");
    CHECK(size_label(1'543'714'304, 0, 0) == "1.5B");
    CHECK(size_label(9'960'000, 0, 0) == "10M");
    CHECK(size_label(999'700'000, 0, 0) == "1B");
    CHECK(size_label(1'604'000'000, 45'097'000'000, 8) == "8x7.2B");
    CHECK(size_label(671'000'000'000, 0, 0) == "671B");
}

TEST_CASE("rotary scaling: linear, yarn, llama3, and none") {
    const auto with = [](nlohmann::json scaling, const auto& check) {
        const support::scratch_dir folder;
        model_directory directory = model_directory::llama();
        directory.config["rope_scaling"] = std::move(scaling);
        directory.write(folder.path());
        const huggingface::model model(folder.path());
        check(model);
    };
    with({{"type", "linear"}, {"factor", 4.0}}, [](const huggingface::model& model) {
        CHECK(model.metadata().require<std::string>("llama.rope.scaling.type") == "linear");
        CHECK(model.metadata().require<float>("llama.rope.scaling.factor") == 4.0f);
        CHECK(model.find("rope_freqs.weight") == nullptr);
    });
    with({{"rope_type", "yarn"}, {"factor", 8}, {"original_max_position_embeddings", 16}, {"beta_fast", 32.0}},
         [](const huggingface::model& model) {
             CHECK(model.metadata().require<std::string>("llama.rope.scaling.type") == "yarn");
             CHECK(model.metadata().require<float>("llama.rope.scaling.factor") == 8.0f);
             CHECK(model.metadata().require<std::uint32_t>("llama.rope.scaling.original_context_length") == 16);
             CHECK(model.metadata().require<float>("llama.rope.scaling.yarn_beta_fast") == 32.0f);
         });
    for (const char* type : {"default", "dynamic"})
        with({{"rope_type", type}, {"factor", 2.0}},
             [](const huggingface::model& model) { CHECK(!model.metadata().contains("llama.rope.scaling.type")); });
    // Head size 4, so two frequencies, of wavelengths 2 pi and 2 pi 100; an original context of 1000 is 159 and 1.59 of
    // them.
    with({{"rope_type", "llama3"},
          {"factor", 8.0},
          {"low_freq_factor", 1.0},
          {"high_freq_factor", 4.0},
          {"original_max_position_embeddings", 1000}},
         [](const huggingface::model& model) {
             CHECK(!model.metadata().contains("llama.rope.scaling.type"));
             REQUIRE(model.tensors()[0].name == "rope_freqs.weight");
             CHECK(model.tensors()[0].type() == type_id::f32);
             const std::vector<float> factors = values_of(model, "rope_freqs.weight");
             REQUIRE(factors.size() == 2);
             CHECK(factors[0] == 1.0f);
             const double t = (10.0 / (2.0 * std::numbers::pi) - 1.0) / 3.0;
             CHECK(factors[1] == doctest::Approx(1.0 / ((1.0 - t) / 8.0 + t)).epsilon(1e-6));
             CHECK(model.packed(model.tensors()[0], 0, 1).size() == 8);
         });
    with({{"rope_type", "llama3"},
          {"factor", 8.0},
          {"low_freq_factor", 1.0},
          {"high_freq_factor", 4.0},
          {"original_max_position_embeddings", 100}},
         [](const huggingface::model& model) {
             CHECK(values_of(model, "rope_freqs.weight") == std::vector<float>{1.0f, 8.0f});
         });
    // Nothing between the two, as in Llama 4 Scout: 15.9 turns and 0.159.
    with({{"rope_type", "llama3"},
          {"factor", 16.0},
          {"low_freq_factor", 1.0},
          {"high_freq_factor", 1.0},
          {"original_max_position_embeddings", 100}},
         [](const huggingface::model& model) {
             CHECK(values_of(model, "rope_freqs.weight") == std::vector<float>{1.0f, 16.0f});
         });
    // YaRN with a factor of its own: loaders multiply 0.1 ln 8 + 1 = 1.2079 with what is written.
    with({{"rope_type", "yarn"}, {"factor", 8}, {"original_max_position_embeddings", 16}, {"attention_factor", 1.5}},
         [](const huggingface::model& model) {
             CHECK(model.metadata().require<float>("llama.rope.scaling.attn_factor") ==
                   doctest::Approx(1.5 / (0.1 * std::log(8.0) + 1.0)));
         });
    with({{"rope_type", "yarn"},
          {"factor", 8},
          {"original_max_position_embeddings", 16},
          {"beta_fast", 16.0},
          {"truncate", false}},
         [](const huggingface::model& model) {
             CHECK(!model.metadata().contains("llama.rope.scaling.attn_factor"));
             REQUIRE(model.notes().size() == 2);
             CHECK(model.notes()[0] == "rope_scaling.beta_fast 16.0: loaders of GGUF compute as with 32");
             CHECK(model.notes()[1] == "rope_scaling.truncate false: loaders of GGUF compute as with true");
         });

    // As newer configurations have it.
    const support::scratch_dir folder;
    model_directory directory = model_directory::llama();
    directory.config.erase("rope_theta");
    directory.config.erase("rope_scaling");
    directory.config["rope_parameters"] = {{"rope_type", "default"}, {"rope_theta", 500000.0}};
    directory.write(folder.path());
    CHECK(huggingface::model(folder.path()).metadata().require<float>("llama.rope.freq_base") == 500000.0f);
}

TEST_CASE("tied embeddings: no output tensor, whether or not the file repeats it") {
    const support::scratch_dir folder;
    model_directory directory = model_directory::llama();
    directory.config["tie_word_embeddings"] = true;
    directory.write(folder.path());
    const huggingface::model tied(folder.path());
    CHECK(tied.find("output.weight") == nullptr);
    REQUIRE(tied.notes().size() == 1);
    CHECK(tied.notes()[0].find("tensor lm_head.weight differs from model.embed_tokens.weight") == 0);
    const huggingface::model untied(folder.path(), {.output = tessera::huggingface::output_matrix::untied});
    CHECK(values_of(untied, "output.weight") == directory.values("lm_head.weight"));
    CHECK(untied.notes().empty());

    directory.remove("lm_head.weight");
    directory.write(folder.path());
    CHECK(huggingface::model(folder.path()).find("output.weight") == nullptr);
    directory.weights.add("lm_head.weight", {16, 10}, directory.values("model.embed_tokens.weight"));
    directory.write(folder.path());
    for (const auto output :
         {tessera::huggingface::output_matrix::as_config_says, tessera::huggingface::output_matrix::untied}) {
        const huggingface::model copied(folder.path(), {.output = output});
        CHECK(copied.find("output.weight") == nullptr);
        CHECK(copied.notes().empty());
    }
}

TEST_CASE("a large permuted tensor: released pages are read again") {
    const support::scratch_dir folder;
    model_directory directory = model_directory::llama();
    for (const char* kind : {"q", "o"}) {
        const std::string name = "model.layers.0.self_attn." + std::string(kind) + "_proj.weight";
        directory.remove(name);
        directory.add(name,
                      kind[0] == 'q' ? std::vector<std::uint64_t>{16, 32768} : std::vector<std::uint64_t>{32768, 16});
    }
    directory.config["num_hidden_layers"] = 1;
    directory.config["num_attention_heads"] = 4096;
    directory.config["num_key_value_heads"] = 1;
    directory.config["head_dim"] = 8;
    for (const auto& info :
         std::vector<tessera::tensor_info>(directory.weights.tensors().begin(), directory.weights.tensors().end()))
        if (info.name.starts_with("model.layers.1.")) directory.remove(info.name);
    directory.write(folder.path());
    const huggingface::model model(folder.path());
    const std::vector<float> wanted = permuted(directory.values("model.layers.0.self_attn.q_proj.weight"), 4096, 16);
    CHECK(values_of(model, "blk.0.attn_q.weight") == wanted);
    CHECK(values_of(model, "blk.0.attn_q.weight") == wanted);
    model.release(*model.find("blk.0.attn_output.weight"), 0, 16);
    CHECK(values_of(model, "blk.0.attn_output.weight") == directory.values("model.layers.0.self_attn.o_proj.weight"));
}

TEST_CASE("8-bit checkpoints appear as F32, in the blocks that config.json says") {
    const support::scratch_dir folder;
    model_directory directory = model_directory::llama();
    directory.config["quantization_config"] = {{"quant_method", "fp8"}, {"weight_block_size", {4, 8}}};
    directory.write(folder.path());
    // The same file with the values of one tensor replaced by codes: 1.0 everywhere, and a scale per block.
    const tessera::safetensors::reader source(folder.path());
    nlohmann::json header;
    std::string data;
    const auto append = [&](const std::string& name, const char* dtype, std::vector<std::uint64_t> shape,
                            const std::string& bytes) {
        header[name] = {
            {"dtype", dtype}, {"shape", shape}, {"data_offsets", {data.size(), data.size() + bytes.size()}}};
        data += bytes;
    };
    for (const auto& info : source.tensors()) {
        if (info.name == "model.layers.0.mlp.up_proj.weight") {
            append(info.name, "F8_E4M3", {12, 16}, std::string(12 * 16, '\x38'));
            const std::vector<float> scales{1, 2, 3, 4, 5, 6};
            append(info.name + "_scale_inv", "F32", {3, 2}, {reinterpret_cast<const char*>(scales.data()), 24});
            for (const char* scale : {"input_scale", "activation_scale", "k_scale"})  // of activations: dropped
                append("model.layers.0.mlp.up_proj." + std::string(scale), "F32", {1}, "abcd");
            continue;
        }
        std::vector<std::uint64_t> shape(info.dims.begin(), info.dims.begin() + info.rank);
        std::reverse(shape.begin(), shape.end());
        const tessera::byte_view bytes = source.packed(info, 0, info.rows());
        append(info.name, "F32", shape, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    }
    support::write_text(folder / "other", support::safetensors_bytes(header.dump(), data));
    std::filesystem::rename(folder / "other", folder / "model.safetensors");

    const huggingface::model model(folder.path());
    CHECK(model.find("blk.0.ffn_up.weight")->type() == type_id::f32);
    const std::vector<float> values = values_of(model, "blk.0.ffn_up.weight");
    for (std::size_t row = 0; row < 12; ++row)
        for (std::size_t column = 0; column < 16; ++column)
            CHECK(values[row * 16 + column] == static_cast<float>(1 + row / 4 * 2 + column / 8));
}

TEST_CASE("shared models open; every tensor reads") {
    for (const char* name : {"fable-3m", "quill-5m", "stories260K", "fable-moe-6m"}) {
        const auto path = support::shared(std::string("models/") + name);
        if (!path) continue;
        CAPTURE(name);
        const huggingface::model model(*path);
        for (const auto& info : model.tensors()) {
            CAPTURE(info.name);
            bool is_finite = true;
            for (const float x : values_of(model, info.name)) is_finite = is_finite && std::isfinite(x);
            CHECK(is_finite);
        }
    }
}

// The reference was made from F32 weights, of which this directory holds the nearest BF16. So its F32 tensors round to
// ours exactly, its F16 ones are apart by both roundings; and nearly always, double rounding changes nothing.
TEST_CASE("fable-3m converts to what the reference converter made of it") {
    const auto directory = support::shared("models/fable-3m");
    const auto golden = support::shared("golden/kld/fable-3m-f16.gguf");
    if (!directory || !golden) return;
    const huggingface::model model(*directory);
    const tessera::gguf::reader reference(*golden);

    REQUIRE(model.tensors().size() == reference.tensors().size());
    for (std::size_t t = 0; t < model.tensors().size(); ++t) {
        const tessera::tensor_info& info = model.tensors()[t];
        CAPTURE(info.name);
        REQUIRE(info.name == reference.tensors()[t].name);
        REQUIRE(info.dims == reference.tensors()[t].dims);
        const bool is_f32 = info.type() == type_id::f32;
        CHECK(is_f32 == (reference.tensors()[t].type() == type_id::f32));

        const std::vector<float> ours = values_of(model, info.name), theirs = values_of(reference, info.name);
        std::size_t equal = 0, far = 0;
        for (std::size_t i = 0; i < ours.size(); ++i) {
            equal += ours[i] == static_cast<float>(tessera::bfloat16(theirs[i]));
            far += std::abs(ours[i] - theirs[i]) > std::abs(ours[i]) * (0x1p-8f + 0x1p-11f) + 0x1p-25f;
        }
        CHECK(far == 0);
        CHECK(equal >= (is_f32 ? ours.size() : ours.size() * 9 / 10));
    }

    // general.* describes a file and who made it, so it differs; whoever writes sets file_type, alignment and version.
    // A space prefix is what this kind of vocabulary has unless a key says otherwise.
    const auto is_ours = [](const std::string& key) {
        return key == "general.architecture" ||
               (!key.starts_with("general.") && key != "tokenizer.ggml.add_space_prefix");
    };
    for (const tessera::metadata::entry& entry : reference.metadata()) {
        if (!is_ours(entry.first)) continue;
        CAPTURE(entry.first);
        const tessera::metadata_value* own = model.metadata().find(entry.first);
        REQUIRE(own != nullptr);
        CHECK(tessera::type_name(*own) == tessera::type_name(entry.second));
        CHECK((*own == entry.second));
    }
    for (const tessera::metadata::entry& entry : model.metadata())
        if (is_ours(entry.first)) CHECK_MESSAGE(reference.metadata().contains(entry.first), entry.first);
}
