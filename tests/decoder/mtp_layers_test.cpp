// Layers for multi-token prediction are left out, and the rest computes what it did.
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "decoder/all_logits.hpp"
#include "support/support.hpp"
#include "tessera/decoder/model.hpp"
#include "tessera/decoder/mtp_layers.hpp"
#include "tessera/gguf.hpp"
#include "tessera/tensor/memory.hpp"

using namespace tessera;

TEST_CASE("the metadata of a model without its layers for multi-token prediction") {
    metadata full;
    full.set("general.architecture", std::string("glm4moe"));
    full.set("glm4moe.block_count", std::uint32_t{5});
    full.set("glm4moe.nextn_predict_layers", std::uint32_t{2});
    full.set("glm4moe.attention.head_count_kv", std::vector<std::uint32_t>{1, 2, 3, 4, 5});
    full.set("glm4moe.attention.recurrent_layers", std::vector<bool>{true, false, true, false, true});
    full.set("glm4moe.rope.dimension_sections", std::vector<std::int32_t>{1, 2, 3, 4, 5});
    full.set("glm4moe.some_list", std::vector<std::uint32_t>{1, 2, 3});
    full.set("tokenizer.ggml.scores", std::vector<float>{1, 2, 3, 4, 5});
    full.set("glm4moe.name_of_five", std::string("abcde"));

    const decoder::mtp_layers next = decoder::find_mtp_layers(full);
    CHECK(next.first == 3);
    CHECK(next.count == 2);
    CHECK(next.contains("blk.3.nextn.eh_proj.weight"));
    CHECK(next.contains("blk.4.ffn_up.weight"));
    CHECK_FALSE(next.contains("blk.2.ffn_up.weight"));
    CHECK_FALSE(next.contains("output.weight"));

    metadata wanted = full;
    wanted.set("glm4moe.block_count", std::uint32_t{3});
    wanted.erase("glm4moe.nextn_predict_layers");
    wanted.set("glm4moe.attention.head_count_kv", std::vector<std::uint32_t>{1, 2, 3});
    wanted.set("glm4moe.attention.recurrent_layers", std::vector<bool>{true, false, true});
    CHECK(decoder::without_mtp_layers(full) == wanted);
    CHECK(decoder::without_mtp_layers(wanted) == wanted);
    CHECK(decoder::find_mtp_layers(wanted).count == 0);
    CHECK_FALSE(decoder::find_mtp_layers(wanted).contains("blk.4.ffn_up.weight"));
    CHECK(decoder::find_mtp_layers({}).count == 0);
    full.set("glm4moe.nextn_predict_layers", std::uint32_t{5});
    CHECK_THROWS_AS((void)decoder::find_mtp_layers(full), error);
}

TEST_CASE("a model gives the same logits without its layers for multi-token prediction") {
    const auto folder = support::shared("golden/architectures");
    if (!folder) return;
    const gguf::reader reader(*folder / "glm4moe.gguf");
    const decoder::mtp_layers next = decoder::find_mtp_layers(reader.metadata());
    REQUIRE(next.count == 1);
    memory_source full, rest;
    full.metadata() = reader.metadata();
    rest.metadata() = decoder::without_mtp_layers(reader.metadata());
    for (const tensor_info& info : reader.tensors()) {
        std::vector<float> values(info.weights());
        reader.read(info, 0, info.rows(), values);
        if (!next.contains(info.name)) rest.add(info.name, std::span(info.dims).first(info.rank), values);
        full.add(info.name, std::span(info.dims).first(info.rank), std::move(values));
    }
    CHECK(rest.tensors().size() < full.tensors().size());
    const std::vector<std::int32_t> tokens{3, 1, 4, 1, 5, 9, 2, 6};
    const decoder::model<memory_source> with(full), without(rest);
    CHECK(support::all_logits(with, tokens, tokens.size()) == support::all_logits(without, tokens, tokens.size()));
}
