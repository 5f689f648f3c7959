// What becomes of tensors out of the ordinary: rows that are no whole blocks, whole numbers, numbers that are none,
// weights that are too large, layers that the forward pass does not run.
#include <algorithm>
#include <cstdint>
#include <limits>
#include <map>
#include <span>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "cli/program.hpp"
#include "support/random.hpp"
#include "support/support.hpp"
#include "tessera/gguf.hpp"
#include "tessera/tensor/memory.hpp"

using namespace support;
using namespace tessera;
using nlohmann::json;

namespace {

void set_llama(metadata& keys, std::uint32_t layers) {
    keys.set("general.architecture", std::string("llama"));
    keys.set("llama.block_count", layers);
    keys.set("llama.attention.head_count", std::uint32_t{8});
}

/// Writes a model as it is.
template <class Source>
void write_model(const fs::path& path, const Source& source) {
    gguf::writer file(path, {});
    file.begin(source.tensors(), source.metadata());
    for (const tensor_info& info : source.tensors()) file.write(info, 0, source.packed(info, 0, info.rows()));
    file.finish();
}

/// The formats that `tessera inspect` tells of.
std::map<std::string, std::string> formats_of(const scratch_dir& folder, const std::string& model) {
    const outcome told = program(folder, "inspect " + model + " --json");
    REQUIRE(told.status == 0);
    std::map<std::string, std::string> formats;
    const json file = json::parse(told.out);
    for (const json& tensor : file["tensors"]) formats[tensor["name"]] = tensor["format"];
    return formats;
}

}  // namespace

TEST_CASE("every command says which rows do not fit, and what that costs") {
    const scratch_dir folder;
    memory_source model;
    set_llama(model.metadata(), 1);
    model.add("token_embd.weight", {2688, 16}, gaussian(2688 * 16, 1));
    model.add("blk.0.ffn_up.weight", {2688, 64}, gaussian(2688 * 64, 2));
    model.add("blk.0.ffn_down.weight", {1856, 64}, gaussian(1856 * 64, 3));
    write_model(folder / "m.gguf", model);

    const std::string up = "note: rows of 2688 weights do not fit Q4_K; written as Q5_0: blk.0.ffn_up.weight\n";
    for (const char* command :
         {"quantize m.gguf -f Q4_K -o a.gguf", "plan m.gguf -f Q4_K", "plan m.gguf -f Q4_K -o a.json",
          "quantize m.gguf --plan a.json -o b.gguf", "quantize m.gguf -f Q4_K -o c.gguf --dry-run"}) {
        CAPTURE(command);
        const outcome told = program(folder, command);
        CHECK(told.status == 0);
        CHECK(has(
            told.out,
            "note: rows of 2688 weights do not fit Q4_K; written as Q5_0: token_embd.weight, blk.0.ffn_up.weight\n"));
        CHECK(has(told.out, "note: rows of 1856 weights do not fit Q4_K; written as Q5_0: blk.0.ffn_down.weight\n"));
        CHECK(has(told.out, "note: for that reason it is 5.500 bits per weight instead of 4.500\n"));
    }
    for (const char* command : {"quantize m.gguf --mix Q4_K_M -o d.gguf", "plan m.gguf --mix Q4_K_M -o d.json",
                                "quantize m.gguf --plan d.json -o e.gguf"}) {
        CAPTURE(command);
        const outcome told = program(folder, command);
        CHECK(told.status == 0);
        CHECK(has(told.out, up));
        CHECK(has(told.out, "note: for that reason it is "));
    }
    CHECK(read_text(folder / "d.gguf") == read_text(folder / "e.gguf"));

    // A target has fewer formats to choose from.
    const json base = json::parse(read_text(folder / "d.json"));
    json table{{"kind", "tessera damage table"}, {"version", 1}, {"model", base["model"]}, {"tensors", json::array()}};
    for (const char* name : {"token_embd.weight", "output.weight", "blk.0.ffn_up.weight"})
        table["tensors"].push_back({{"name", name},
                                    {"sensitivity", 1.0},
                                    {"sensitivity_error", 0.0},
                                    {"damage", {{"Q8_0", 0.001}, {"Q5_0", 0.01}, {"Q4_K", 0.1}}}});
    write_text(folder / "damage.json", table.dump());
    const std::string target = "plan m.gguf --damage damage.json --target-bpw 20 --formats Q8_0,Q5_0,Q4_K,stored";
    const outcome told = program(folder, target + " -o f.json");
    REQUIRE(told.status == 0);
    CHECK(has(told.out, "note: rows of 2688 weights do not fit 1 of the 3 formats to choose from (Q4_K): "));
    // And what nothing is known of is left as it is, which is said.
    CHECK(has(told.out, "note: no damage is known of blk.0.ffn_down.weight: left as stored, "));
    CHECK(json::parse(read_text(folder / "f.json"))["tensors"][2]["reason"] == "damage unknown");
    const outcome again = program(folder, "quantize m.gguf --plan f.json -o g.gguf");
    CHECK(has(again.out, "note: no damage is known of blk.0.ffn_down.weight"));

    const outcome q8 = program(folder, "quantize m.gguf --mix Q8_0 -o h.gguf");
    CHECK_FALSE(has(q8.out, "do not fit"));
    memory_source narrow;
    set_llama(narrow.metadata(), 1);
    narrow.add("blk.0.ffn_down.weight", {172, 64}, gaussian(172 * 64, 3));
    write_model(folder / "narrow.gguf", narrow);
    const outcome f16 = program(folder, "quantize narrow.gguf --mix Q8_0 -o i.gguf");
    CHECK(f16.status == 0);
    CHECK(has(f16.out, "note: rows of 172 weights do not fit Q8_0; written as F16: blk.0.ffn_down.weight\n"));
    CHECK(has(f16.out, "16.000 bits per weight instead of 8.500"));
}

TEST_CASE("whole numbers pass through every command") {
    const scratch_dir folder;
    std::vector<tensor_info> tensors{
        {.name = "blk.0.ffn_gate_tid2eid.weight", .dims = {6, 40, 1, 1}, .rank = 2, .layout = *find_type(type_id::i32)},
        {.name = "output.weight", .dims = {256, 4, 1, 1}, .rank = 2, .layout = *find_type(type_id::f32)}};
    memory_sink model;
    metadata keys;
    set_llama(keys, 1);
    model.begin(tensors, keys);
    std::vector<std::int32_t> ids;
    for (std::uint32_t i = 0; i < 240; ++i)
        ids.push_back(static_cast<std::int32_t>(i * 123'456'789));  // more than 24 bits
    model.write(tensors[0], 0, std::as_bytes(std::span(ids)));
    const auto values = gaussian(1024, 4);
    model.write(tensors[1], 0, std::as_bytes(std::span(values)));
    model.finish();
    write_model(folder / "m.gguf", model);
    for (const char* command : {"convert m.gguf -o a.gguf", "convert m.gguf --type F32 -o b.gguf",
                                "quantize m.gguf -f Q4_K -o c.gguf", "quantize m.gguf --mix Q4_K_M -o d.gguf"}) {
        CAPTURE(command);
        REQUIRE(program(folder, command).status == 0);
        const std::string file = std::string(command).substr(std::string(command).rfind(' ') + 1);
        const gguf::reader made(folder / file);
        const tensor_info* table = made.find(tensors[0].name);
        REQUIRE(table != nullptr);
        CHECK(table->type() == type_id::i32);
        CHECK(std::ranges::equal(made.packed(*table, 0, 40), std::as_bytes(std::span(ids))));
    }
    REQUIRE(program(folder, "plan m.gguf -f Q4_K -o p.json").status == 0);
    std::string edited = read_text(folder / "p.json");
    edited.replace(edited.find("\"I32\""), 5, "\"F32\"");
    write_text(folder / "p.json", edited);
    const outcome refused = program(folder, "quantize m.gguf --plan p.json -o e.gguf");
    CHECK(refused.status == 1);
    CHECK(has(refused.err, "wanted whole numbers to stay what they are"));
}

TEST_CASE("NaN, infinity and weights that are too large are named") {
    const scratch_dir folder;
    const auto write = [&](const std::string& name, float norm, float weight) {
        memory_source model;
        set_llama(model.metadata(), 1);
        auto norms = gaussian(64, 1);
        norms[9] = norm;
        auto weights = gaussian(256 * 16, 2);
        weights[256 * 3 + 5] = weight;
        model.add("blk.0.ffn_norm.weight", {64}, norms);
        model.add("blk.0.ffn_up.weight", {256, 16}, weights);
        write_model(folder / name, model);
    };
    write("nan.gguf", std::numeric_limits<float>::quiet_NaN(), 1.0f);
    for (const char* command : {"convert nan.gguf -o x.gguf", "convert nan.gguf --type F32 -o x.gguf",
                                "quantize nan.gguf -f Q4_K -o x.gguf"}) {
        const outcome refused = program(folder, command);
        CHECK(refused.status == 1);
        CHECK(has(refused.err, "tensor blk.0.ffn_norm.weight: row 0, column 9: wanted a finite number, got nan"));
        CHECK_FALSE(fs::exists(folder / "x.gguf"));
    }
    write("large.gguf", 1.0f, 1e5f);
    const outcome overflow = program(folder, "convert large.gguf --type F16 -o x.gguf");
    CHECK(overflow.status == 1);
    CHECK(has(overflow.err,
              "tensor blk.0.ffn_up.weight: row 3, column 5: wanted a number that F16 can hold, got 100000; BF16 can"));
    CHECK(program(folder, "convert large.gguf --type BF16 -o bf16.gguf").status == 0);

    write("huge.gguf", 1.0f, 3e38f);
    const outcome warned = program(folder, "quantize huge.gguf -f Q4_K -o q.gguf --report q.json");
    CHECK(warned.status == 0);
    CHECK(has(warned.out,
              "warning: blk.0.ffn_up.weight: the scales of Q4_K cannot hold 3e+38 in row 3, column 5, which became "));
    CHECK(has(warned.out, "; BF16 can (--pin)"));
    const json told = json::parse(read_text(folder / "q.json"))["tensors"][0]["saturated"];
    CHECK(told["blocks"] == 1);
    CHECK(told["row"] == 3);
    CHECK(told["column"] == 5);
    CHECK_FALSE(has(program(folder, "quantize huge.gguf -f Q4_K --pin ffn_up=BF16 -o r.gguf").out, "warning"));

    memory_source tiny;
    set_llama(tiny.metadata(), 1);
    auto weights = gaussian(256 * 16, 2);
    for (float& x : weights) x *= 1e-12f;
    tiny.add("blk.0.ffn_up.weight", {256, 16}, weights);
    write_model(folder / "tiny.gguf", tiny);
    CHECK(has(program(folder, "quantize tiny.gguf -f Q4_0 -o s.gguf").out, "warning: next to nothing is left"));
}

TEST_CASE("layers for multi-token prediction get formats within the budget, or are left out") {
    const scratch_dir folder;
    REQUIRE(program(folder, "convert fable-3m --type BF16 -o fable.gguf").status == 0);
    memory_source base, full;  // a small model with fable-3m's tokenizer, without such a layer and with one
    base.metadata() = gguf::reader(folder / "fable.gguf").metadata();
    for (const auto& [key, number] : std::map<std::string, std::uint32_t>{{"embedding_length", 64},
                                                                          {"block_count", 2},
                                                                          {"feed_forward_length", 96},
                                                                          {"attention.head_count", 4},
                                                                          {"attention.head_count_kv", 2},
                                                                          {"rope.dimension_count", 16}})
        base.metadata().set("llama." + key, number);
    full.metadata() = base.metadata();
    full.metadata().set("llama.block_count", std::uint32_t{3});
    full.metadata().set("llama.nextn_predict_layers", std::uint32_t{1});
    std::uint32_t seed = 0;
    const auto add = [&](const std::string& name, std::uint64_t columns, std::uint64_t rows, float mean) {
        auto values = gaussian(columns * rows, ++seed);
        for (float& x : values) x = mean + 0.1f * x;
        const auto add_to = [&](memory_source& model) {
            rows > 1 ? model.add(name, {columns, rows}, values) : model.add(name, {columns}, values);
        };
        if (!name.starts_with("blk.2.")) add_to(base);
        add_to(full);
    };
    add("token_embd.weight", 64, 1024, 0);
    for (const std::string block : {"blk.0.", "blk.1.", "blk.2."}) {
        for (const char* norm : {"attn_norm.weight", "ffn_norm.weight"}) add(block + norm, 64, 1, 1);
        for (const char* square : {"attn_q.weight", "attn_output.weight"}) add(block + square, 64, 64, 0);
        for (const char* half : {"attn_k.weight", "attn_v.weight"}) add(block + half, 64, 32, 0);
        for (const char* wide : {"ffn_gate.weight", "ffn_up.weight"}) add(block + wide, 64, 96, 0);
        add(block + "ffn_down.weight", 96, 64, 0);
    }
    add("blk.2.nextn.eh_proj.weight", 128, 64, 0);
    add("blk.2.nextn.embed_tokens.weight", 64, 1024, 0);
    add("blk.2.nextn.shared_head_head.weight", 64, 1024, 0);
    add("output_norm.weight", 64, 1, 1);
    write_model(folder / "base.gguf", base);
    write_model(folder / "full.gguf", full);
    REQUIRE(program(folder, "convert base.gguf --type BF16 -o f.gguf").status == 0);
    REQUIRE(program(folder, "convert full.gguf --type BF16 -o m.gguf").status == 0);

    const std::string measured =
        "--measure-text fable-3m/generated_heldout.txt --measure-tokens 256 --measure noise "
        "--formats legacy --damage d.json ";
    const outcome priced = program(folder, "plan m.gguf " + measured + "--target-bpw 5.5 -o p.json");
    REQUIRE(priced.status == 0);
    CHECK(has(priced.out, "note: the forward pass does not reach some tensors, "));
    CHECK(has(priced.out, "  as a typical tensor: blk.2.nextn.eh_proj.weight\n"));
    CHECK(has(priced.out, "  as output.weight: blk.2.nextn.shared_head_head.weight\n"));
    CHECK(has(priced.out, "  as token_embd.weight: blk.2.nextn.embed_tokens.weight\n"));
    CHECK(has(priced.out, "  as blk.1.ffn_up.weight: blk.2.ffn_up.weight\n"));
    const json plan = json::parse(read_text(folder / "p.json"));
    CHECK(plan["bits_per_weight"] <= 5.5);
    for (const json& row : plan["tensors"]) {
        CAPTURE(row.dump());
        CHECK((row["reason"] == "full precision" || (row["reason"] == "budget" && row["format"] != "BF16")));
    }

    // One damage file serves both.
    const outcome without = program(folder, "plan m.gguf --without-mtp " + measured + "--target-bpw 5.5 -o q.json");
    REQUIRE(without.status == 0);
    CHECK_FALSE(has(without.out, "measuring"));
    CHECK_FALSE(has(without.out, "does not reach"));
    for (const char* command : {"quantize m.gguf --without-mtp --plan q.json -o q.gguf",
                                "convert m.gguf --without-mtp --type BF16 -o r.gguf"}) {
        CAPTURE(command);
        REQUIRE(program(folder, command).status == 0);
    }
    // Nothing is left of them: the rest is the model without.
    CHECK(read_text(folder / "r.gguf") == read_text(folder / "f.gguf"));
    for (const auto& [name, format] : formats_of(folder, "q.gguf")) CHECK_FALSE(name.starts_with("blk.2."));
    CHECK(program(folder, "quantize m.gguf --plan q.json -o x.gguf").status == 1);  // of another model

    const outcome told =
        program(folder, "quantize m.gguf -f Q4_0 -o s.gguf --encoder weighted --text fable-3m/generated_heldout.txt");
    REQUIRE(told.status == 0);
    CHECK(has(told.out, "does not run the layers for multi-token prediction: no statistics for blk.2."));
    CHECK(has(told.out, "; rounded without"));
}
