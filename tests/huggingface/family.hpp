// A model directory together with the GGUF tensors it must become.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "huggingface/directory.hpp"
#include "support/support.hpp"
#include "tessera/gguf/reader.hpp"
#include "tessera/huggingface/model.hpp"

namespace support {

using values = std::vector<float>;

/// Sizes as in the golden files, so that these can be compared.
struct model_family {
    static constexpr std::uint64_t embedding = 32, heads = 4, key_heads = 2, vocabulary = 40;

    model_directory directory;
    std::map<std::string, values> wanted;  ///< by GGUF name
    std::string prefix;                    ///< of the layer being added, in the source
    std::string block;                     ///< and in GGUF

    model_family(const char* architecture, std::uint64_t layers) {
        directory.config = {{"architectures", {architecture}},  {"hidden_size", embedding},
                            {"num_hidden_layers", layers},      {"num_attention_heads", heads},
                            {"num_key_value_heads", key_heads}, {"vocab_size", vocabulary},
                            {"max_position_embeddings", 64},    {"rms_norm_eps", 1e-5},
                            {"tie_word_embeddings", false}};
    }

    void begin_layer(std::uint64_t layer) {
        prefix = "model.layers." + std::to_string(layer) + ".";
        block = "blk." + std::to_string(layer) + ".";
    }

    /// Adds a source tensor and returns its values.
    values add(const std::string& source, std::vector<std::uint64_t> dims) {
        directory.add(source, std::move(dims));
        return directory.values(source);
    }
    /// Adds a tensor of the layer.
    values in_layer(const std::string& source, std::vector<std::uint64_t> dims) {
        return add(prefix + source, std::move(dims));
    }
    /// Adds a tensor of the layer whose values stay as they are.
    void same(const std::string& gguf, const std::string& source, std::vector<std::uint64_t> dims) {
        wanted[block + gguf] = in_layer(source, std::move(dims));
    }
    /// Adds a norm.
    void norm(const std::string& gguf, const std::string& source, std::uint64_t size) {
        wanted[block + gguf] = in_layer(source, {size});
        for (float& x : wanted[block + gguf]) x += directory.norm_shift;
    }

    /// Embeddings, last norm, and the output matrix if it is not tied.
    void add_ends(const std::string& of_text = "") {
        wanted["token_embd.weight"] = add(of_text + "model.embed_tokens.weight", {embedding, vocabulary});
        wanted["output_norm.weight"] = add(of_text + "model.norm.weight", {embedding});
        for (float& x : wanted["output_norm.weight"]) x += directory.norm_shift;
        if (directory.config.contains("tie_word_embeddings"))
            wanted["output.weight"] = add(of_text + "lm_head.weight", {embedding, vocabulary});
    }

    void add_attention(std::uint64_t head_size, const std::vector<std::string>& biases = {}) {
        same("attn_q.weight", "self_attn.q_proj.weight", {embedding, heads * head_size});
        same("attn_k.weight", "self_attn.k_proj.weight", {embedding, key_heads * head_size});
        same("attn_v.weight", "self_attn.v_proj.weight", {embedding, key_heads * head_size});
        same("attn_output.weight", "self_attn.o_proj.weight", {heads * head_size, embedding});
        for (const std::string& kind : biases)
            same("attn_" + kind + ".bias", "self_attn." + kind + "_proj.bias",
                 {(kind == "q" ? heads : key_heads) * head_size});
    }
    void add_head_norms(std::uint64_t head_size) {
        norm("attn_q_norm.weight", "self_attn.q_norm.weight", head_size);
        norm("attn_k_norm.weight", "self_attn.k_norm.weight", head_size);
    }
    /// A gated feed-forward; `suffix` of the GGUF names.
    void add_feed_forward(std::uint64_t size, const std::string& source = "mlp.", const std::string& suffix = "") {
        same("ffn_gate" + suffix + ".weight", source + "gate_proj.weight", {embedding, size});
        same("ffn_up" + suffix + ".weight", source + "up_proj.weight", {embedding, size});
        same("ffn_down" + suffix + ".weight", source + "down_proj.weight", {size, embedding});
    }
    /// A router, and experts in one matrix each.
    void add_experts(std::uint64_t count, std::uint64_t size) {
        same("ffn_gate_inp.weight", "mlp.gate.weight", {embedding, count});
        for (std::uint64_t expert = 0; expert < count; ++expert)
            for (const char* kind : {"gate", "up", "down"}) {
                const bool is_down = *kind == 'd';
                const values one = in_layer("mlp.experts." + std::to_string(expert) + "." + kind + "_proj.weight",
                                            is_down ? std::vector<std::uint64_t>{size, embedding}
                                                    : std::vector<std::uint64_t>{embedding, size});
                values& stack = wanted[block + "ffn_" + kind + "_exps.weight"];
                stack.insert(stack.end(), one.begin(), one.end());
            }
    }

    /// Converts, compares every tensor in whole and in ranges of rows, then shows the model to `check`.
    void convert(const std::function<void(const tessera::huggingface::model&)>& check) const {
        const scratch_dir folder;
        directory.write(folder.path());
        const tessera::huggingface::model model(folder.path());
        for (const auto& info : model.tensors()) {
            CAPTURE(info.name);
            const auto found = wanted.find(info.name);
            REQUIRE(found != wanted.end());
            const values all = values_of(model, info.name);
            REQUIRE(all == found->second);
            for (std::uint64_t first = 0; first < info.rows(); first += 3) {
                const std::uint64_t rows = std::min<std::uint64_t>(7, info.rows() - first);
                values part(rows * info.columns());
                model.read(info, first, rows, part);
                REQUIRE(std::equal(part.begin(), part.end(),
                                   all.begin() + static_cast<std::ptrdiff_t>(first * info.columns())));
                if (const auto bytes = model.packed(info, first, rows);
                    !bytes.empty() && info.type() == tessera::type_id::f32)
                    REQUIRE(std::memcmp(bytes.data(), part.data(), bytes.size()) == 0);
            }
            if (info.rank == 1 || !info.name.ends_with(".weight")) CHECK(info.type() == tessera::type_id::f32);
        }
        CHECK(model.tensors().size() == wanted.size());
        check(model);
    }

    /// Breaks every key of config.json in several ways: the directory must open or be refused, in words that begin with
    /// its name.
    void break_config() const {
        const scratch_dir folder;
        directory.write(folder.path());
        const nlohmann::json nothing(nlohmann::json::value_t::discarded);
        std::size_t refused = 0;
        const auto open_with = [&](const nlohmann::json& config, const std::string& key) {
            CAPTURE(key);
            write_text(folder / "config.json", config.dump());
            try {
                const tessera::huggingface::model model(folder.path());
            } catch (const tessera::error& error) {
                ++refused;
                CHECK_MESSAGE(std::string(error.what()).starts_with(folder.path().string()), error.what());
            }
        };
        for (const auto& entry : directory.config.items())
            for (const nlohmann::json& value :
                 {nothing, nlohmann::json(0), nlohmann::json(1), nlohmann::json(-1), nlohmann::json(7),
                  nlohmann::json(4294967295u), nlohmann::json(1e300), nlohmann::json("x"), nlohmann::json::array({1}),
                  nlohmann::json::object()}) {
                nlohmann::json broken = directory.config;
                if (value.is_discarded())
                    broken.erase(entry.key());
                else
                    broken[entry.key()] = value;
                open_with(broken, entry.key() + " " + (value.is_discarded() ? "gone" : value.dump()));
            }
        CHECK(refused > 5 * directory.config.size());
    }

    /// As convert, then compares names, shapes and metadata with a file that stock llama.cpp loads. `computed` are keys
    /// whose values differ.
    void convert_like(const char* golden_name, const std::vector<std::string>& computed = {}) const {
        convert([&](const tessera::huggingface::model& model) {
            const auto path = shared(std::string("golden/architectures/") + golden_name + ".gguf");
            if (!path) return;
            const tessera::gguf::reader golden(*path);
            for (const auto& info : golden.tensors()) {
                CAPTURE(info.name);
                const auto* own = model.find(info.name);
                REQUIRE(own != nullptr);
                CHECK(own->dims == info.dims);
            }
            CHECK(model.tensors().size() == golden.tensors().size());

            const auto architecture = golden.metadata().require<std::string>("general.architecture");
            CHECK(model.metadata().require<std::string>("general.architecture") == architecture);
            for (const tessera::metadata::entry& entry : golden.metadata()) {
                const std::string& key = entry.first;
                if (!key.starts_with(architecture + ".")) continue;
                CAPTURE(key);
                const auto* own = model.metadata().find(key);
                REQUIRE(own != nullptr);
                CHECK(tessera::type_name(*own) == tessera::type_name(entry.second));
                if (std::find(computed.begin(), computed.end(), key) == computed.end()) CHECK((*own == entry.second));
            }
            for (const tessera::metadata::entry& entry : model.metadata())
                if (entry.first.starts_with(architecture + "."))
                    CHECK_MESSAGE(golden.metadata().contains(entry.first), entry.first);
        });
    }
};

}  // namespace support
