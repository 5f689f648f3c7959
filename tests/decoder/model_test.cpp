// The decoder against a plain forward pass, and what it refuses.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "decoder/all_logits.hpp"
#include "decoder/counting_source.hpp"
#include "decoder/tiny_model.hpp"
#include "support/support.hpp"
#include "tessera/decoder/model.hpp"

namespace {

using namespace tessera;
using support::all_logits;
using support::make_tiny_model;
using support::plain_decoder;
using support::tiny_shape;
using support::worst_difference;

std::string refusal(const memory_source& source) {
    return support::message_of<error>([&] { const decoder::model decoder(source); });
}

bool mentions(const std::string& message, std::initializer_list<std::string_view> parts) {
    return std::all_of(parts.begin(), parts.end(),
                       [&](std::string_view part) { return message.find(part) != std::string::npos; });
}

}  // namespace

TEST_CASE("logits agree with a plain forward pass in double") {
    struct named_shape {
        const char* name;
        tiny_shape shape;
    };
    const std::vector<named_shape> cases{
        {"grouped queries, odd head size", {}},
        {"one key head", {.kv_heads = 1}},
        {"as many key heads as heads, width = heads x head size", {.kv_heads = 4, .head_size = 6}},
        {"biases everywhere", {.biases = true}},
        {"tied output", {.tied = true}},
        {"fused query, key and value", {.biases = true, .fused_qkv = true}},
        {"rope factors", {.rope_factors = true, .rope_base = 500000.0f}},
        {"linear rope scaling", {.rope_scaling = "linear", .rope_factor = 4.0f}},
        {"no rope scaling", {.rope_scaling = "none", .rope_factor = 4.0f}},
        {"yarn rope scaling",
         {.rope_scaling = "yarn", .rope_factor = 4.0f, .rope_original_context = 2000, .rope_base = 100.0f}},
        {"experts", {.experts = 6, .experts_used = 2}},
        {"all experts", {.experts = 3, .experts_used = 3}},
        {"wider than a tile",
         {.layers = 1, .heads = 2, .head_size = 70, .feed_forward = 300, .vocabulary = 261, .biases = true}},
    };
    for (const named_shape& c : cases) {
        CAPTURE(c.name);
        const tiny_shape& shape = c.shape;
        const memory_source source = make_tiny_model(shape);
        const decoder::model decoder(source, {.threads = 2});
        const auto tokens = support::random_tokens(3 * 11, shape.vocabulary);
        const double difference =
            worst_difference(all_logits(decoder, tokens, 11), plain_decoder(source, shape), tokens, 11);
        CHECK(difference < 3e-6);
        CHECK(difference > 0);  // float is not double: equality would mean that nothing was compared
    }
}

TEST_CASE("an architecture of one's own is a value") {
    const tiny_shape shape{.seed = 3};
    const memory_source source = make_tiny_model(shape);
    const auto tokens = support::random_tokens(2 * 9, shape.vocabulary);
    decoder::model_spec spec = decoder::make_model_spec(source.metadata());
    spec.global.rope.pairing = decoder::rope_pairing::halves;
    spec.global.rope.dims = 6;
    spec.block.activation = decoder::activation::gelu;
    const decoder::model decoder(source, spec);
    plain_decoder same(source, shape,
                       {.rope = plain_decoder::pairs::halves, .activation = plain_decoder::gate::gelu, .rope_dims = 6});
    const std::vector<float> logits = all_logits(decoder, tokens, 9);
    CHECK(worst_difference(logits, same, tokens, 9) < 3e-6);
    CHECK(worst_difference(logits, plain_decoder(source, shape), tokens, 9) > 1e-2);
}

TEST_CASE("a vocabulary of another length than the embedding is refused") {
    metadata keys = make_tiny_model({}).metadata();
    std::vector<std::string> names(decoder::make_model_spec(keys).vocabulary - 1);
    keys.set("tokenizer.ggml.tokens", names);
    CHECK(support::has(support::message_of<error>([&] { (void)decoder::make_model_spec(keys); }),
                       "metadata key tokenizer.ggml.tokens: wanted " + std::to_string(names.size() + 1) +
                           " tokens, one a row of the embedding"));
    names.emplace_back();
    keys.set("tokenizer.ggml.tokens", names);
    CHECK(decoder::make_model_spec(keys).vocabulary == names.size());
}

TEST_CASE("results are the same bits for every number of threads") {
    // More tokens than a tile, windows longer than a block of queries, more outputs than a tile.
    for (const std::size_t experts : {0u, 4u}) {
        const tiny_shape shape{
            .layers = 2, .feed_forward = 150, .vocabulary = 140, .experts = experts, .experts_used = 2};
        const memory_source source = make_tiny_model(shape);
        const auto tokens = support::random_tokens(4 * 150, shape.vocabulary);
        const auto one = all_logits(decoder::model(source, {.threads = 1}), tokens, 150);
        const auto two = all_logits(decoder::model(source, {.threads = 2}), tokens, 150);
        const auto five = all_logits(decoder::model(source, {.threads = 5}), tokens, 150);
        CHECK(one == two);
        CHECK(one == five);
    }
    const int before = Eigen::nbThreads();
    Eigen::setNbThreads(3);
    const int theirs = Eigen::nbThreads();  // 1 where Eigen has no threads
    const memory_source source = make_tiny_model({});
    all_logits(decoder::model(source), support::random_tokens(8, 50), 8);
    CHECK(Eigen::nbThreads() == theirs);  // the user's setting is put back
    Eigen::setNbThreads(before);
}

TEST_CASE("attention is causal and stays within a window") {
    const tiny_shape shape;
    const memory_source source = make_tiny_model(shape);
    const decoder::model decoder(source);
    auto tokens = support::random_tokens(2 * 8, shape.vocabulary);
    const auto before = all_logits(decoder, tokens, 8);
    tokens[5] = (tokens[5] + 1) % 50;
    const auto after = all_logits(decoder, tokens, 8);
    for (std::size_t t = 0; t < tokens.size(); ++t) {
        const auto row = [&](const std::vector<float>& logits) { return std::span(logits).subspan(t * 50, 50); };
        const bool same = std::ranges::equal(row(before), row(after));
        CHECK(same == (t < 5 || t >= 8));
    }
}

TEST_CASE("running layer by layer gives the result of a whole run") {
    const memory_source source = make_tiny_model({.layers = 3});
    const decoder::model decoder(source);
    const auto tokens = support::random_tokens(20, 50);
    decoder::activations whole = decoder.embed({tokens, 10});
    decoder::activations parts = decoder.embed({tokens, 10});
    std::vector<std::uint64_t> at_layers;  // tokens done when each layer began, and at the end
    std::vector<std::string> names;        // of what was worked on within a layer
    const auto note = [&](const progress& p) {
        CHECK(p.unit == "tokens");
        CHECK(p.total == 20);
        if (p.number > 0) CHECK(p.part == "layer");
        if (p.number == 2 && !p.name.empty()) names.emplace_back(p.name);
        if (p.name.empty() && p.number > 0) at_layers.push_back(p.done);
    };
    decoder.run(whole, note);
    for (std::size_t l = 0; l < 3; ++l) decoder.run_layer(l, parts);
    CHECK(all_rows(whole) == all_rows(parts));
    CHECK(at_layers == std::vector<std::uint64_t>{0, 6, 13, 20});
    CHECK(names.size() >= 3);
    CHECK(std::ranges::all_of(names, [](const std::string& name) { return name.starts_with("blk.1."); }));
}

TEST_CASE("small experts work in batches: the same bits for any number of threads, shared and weighed ones, too") {
    const memory_source source = make_tiny_model({.layers = 2, .experts = 64, .experts_used = 5});
    const auto tokens = support::random_tokens(400, 50);
    decoder::matrix first;
    std::vector<std::vector<std::string>> seen;
    for (const int threads : {1, 2, 5}) {
        const decoder::model decoder(source, {.threads = threads});
        decoder::activations state = decoder.embed({tokens, 40});
        std::vector<std::string>& order = seen.emplace_back();
        decoder.run(state, {}, [&](const decoder::linear_input& input) {
            const decoder::linear& layer = *input.shared.front();
            order.push_back(layer.tensor->name + " " + std::to_string(layer.first_row) + " " +
                            std::to_string(input.rows.rows()));
        });
        const decoder::matrix values = all_rows(state);
        if (first.size() == 0) first = values;
        CHECK(values == first);
    }
    CHECK(seen[0] == seen[1]);
    CHECK(seen[0] == seen[2]);
    std::size_t loops = 0, largest = 0;  // experts share loops: few of them, with many items
    const auto count = [&](std::size_t items, function_ref<void(std::size_t)> body) {
        ++loops;
        largest = std::max(largest, items);
        for (std::size_t i = 0; i < items; ++i) body(i);
    };
    const loop_runner runner(count);
    watch_loops(&runner);
    const decoder::model decoder(source);
    decoder::activations state = decoder.embed({tokens, 40});
    decoder.run(state);
    watch_loops(nullptr);
    CHECK(all_rows(state) == first);
    CHECK(loops < 2 * 64);
    CHECK(largest >= 64);
}

TEST_CASE("a pass reads every row of every matrix once, whatever the number of tokens") {
    for (const std::size_t experts : {0u, 3u}) {
        const memory_source plain =
            make_tiny_model({.feed_forward = 300, .vocabulary = 270, .experts = experts, .experts_used = 3});
        const support::counting_source source(plain);
        const decoder::model decoder(source, {.threads = 2});
        source.take();
        decoder::activations state = decoder.embed({support::random_tokens(600, 270), 60});
        source.take();
        decoder.run(state);
        std::vector<float> logits(600 * 270);
        std::vector<float> hidden(state.rows() * state.columns());
        state.read_rows(0, hidden);
        decoder.logits({hidden, state.columns()}, {std::span(logits), 270});
        const auto reads = source.take();
        std::size_t matrices = 0;
        for (const tensor_info& info : plain.tensors())
            if (info.rank > 1 && info.name != "token_embd.weight") {
                CAPTURE(info.name);
                ++matrices;
                REQUIRE(reads.contains(info.name));
                CHECK(std::ranges::all_of(reads.at(info.name), [](int n) { return n == 1; }));
            }
        CHECK(reads.size() == matrices);
    }
}

TEST_CASE("an unknown architecture is named, with the known ones") {
    memory_source source = make_tiny_model({});
    source.metadata().set("general.architecture", std::string("frobnicator"));
    CHECK(mentions(refusal(source), {"general.architecture", "llama", "frobnicator"}));
}

TEST_CASE("metadata out of range are refused with their key") {
    const auto with = [](const char* key, metadata_value value) {
        memory_source source = make_tiny_model({.experts = 4, .experts_used = 2});
        source.metadata().set(key, std::move(value));
        return refusal(source);
    };
    const auto u32 = [](std::uint32_t n) { return metadata_value(n); };
    CHECK(mentions(with("llama.block_count", u32(0)), {"llama.block_count", "1 to 512", "got 0"}));
    CHECK(mentions(with("llama.block_count", u32(513)), {"llama.block_count", "got 513"}));
    CHECK(mentions(with("llama.attention.head_count", u32(0)), {"llama.attention.head_count", "got 0"}));
    CHECK(
        mentions(with("llama.attention.head_count_kv", u32(3)), {"llama.attention.head_count_kv", "divisor", "got 3"}));
    CHECK(mentions(with("llama.attention.head_count_kv", u32(8)), {"llama.attention.head_count_kv", "got 8"}));
    CHECK(mentions(with("llama.embedding_length", u32(0xffff'ffff)), {"llama.embedding_length", "got 4294967295"}));
    CHECK(mentions(with("llama.embedding_length", metadata_value(std::string("big"))),
                   {"llama.embedding_length", "string"}));
    CHECK(mentions(with("llama.attention.key_length", u32(70000)), {"llama.attention.key_length", "got 70000"}));
    CHECK(mentions(with("llama.rope.dimension_count", u32(11)), {"llama.rope.dimension_count", "got 11"}));
    CHECK(mentions(with("llama.rope.dimension_count", u32(7)), {"llama.rope.dimension_count", "even", "got 7"}));
    CHECK(mentions(with("llama.rope.freq_base", 0.5f), {"llama.rope.freq_base", "got 0.5"}));
    CHECK(mentions(with("llama.rope.scaling.type", metadata_value(std::string("longrope"))),
                   {"llama.rope.scaling.type", "linear", "got longrope"}));
    CHECK(mentions(with("llama.rope.scaling.factor", 0.0f), {"llama.rope.scaling.factor", "got 0"}));
    CHECK(mentions(with("llama.attention.layer_norm_rms_epsilon", std::numeric_limits<float>::quiet_NaN()),
                   {"llama.attention.layer_norm_rms_epsilon", "got nan"}));
    CHECK(mentions(with("llama.expert_count", u32(5000)), {"llama.expert_count", "got 5000"}));
    CHECK(mentions(with("llama.expert_used_count", u32(5)), {"llama.expert_used_count", "1 to 4", "got 5"}));

    memory_source incomplete = make_tiny_model({});
    incomplete.metadata().erase("llama.block_count");
    CHECK(mentions(refusal(incomplete), {"llama.block_count", "got nothing"}));
}

TEST_CASE("tensors that are missing, misshapen or unknown are named") {
    // The same model without, or with another, tensor.
    const auto rebuilt = [](auto&& change) {
        const memory_source whole = make_tiny_model({});
        memory_source source;
        source.metadata() = whole.metadata();
        for (const tensor_info& info : whole.tensors()) {
            std::vector<std::uint64_t> dims(info.dims.begin(), info.dims.begin() + info.rank);
            if (!change(info.name, dims)) continue;
            std::uint64_t count = 1;
            for (const std::uint64_t d : dims) count *= d;
            source.add(info.name, std::span<const std::uint64_t>(dims), std::vector<float>(count));
        }
        return source;
    };
    using dims_type = std::vector<std::uint64_t>;
    CHECK(mentions(refusal(rebuilt([](const std::string& name, dims_type&) { return name != "blk.1.ffn_up.weight"; })),
                   {"blk.1.ffn_up.weight", "[24, 36]", "no such tensor"}));
    CHECK(mentions(refusal(rebuilt([](const std::string& name, dims_type& dims) {
                       if (name == "blk.1.attn_k.weight") dims = {24, 40};
                       return true;
                   })),
                   {"blk.1.attn_k.weight", "wanted [24, 20]", "got [24, 40]"}));
    CHECK(mentions(refusal(rebuilt([](const std::string& name, dims_type& dims) {
                       if (name == "output_norm.weight") dims = {25};
                       return true;
                   })),
                   {"output_norm.weight", "wanted [24]", "got [25]"}));

    memory_source extra = make_tiny_model({});
    extra.add("blk.0.attn_q_norm.weight", {10}, std::vector<float>(10));
    CHECK(mentions(refusal(extra), {"blk.0.attn_q_norm.weight", "llama"}));
    extra.add("blk.1.attn_q_norm.weight", {10}, std::vector<float>(10));
    CHECK(mentions(refusal(extra), {"blk.0.attn_q_norm.weight and 1 more"}));

    memory_source factors = make_tiny_model({});
    factors.add("rope_freqs.weight", {5}, {1, 2, 0, 1, 1});
    CHECK(mentions(refusal(factors), {"rope_freqs.weight", "got 0"}));
}

TEST_CASE("tokens must make whole windows and lie in the vocabulary") {
    const memory_source source = make_tiny_model({});
    const decoder::model decoder(source);
    const auto refused = [&](std::vector<std::int32_t> tokens, std::size_t window) {
        return support::message_of<error>([&] { (void)decoder.embed({tokens, window}); });
    };
    CHECK(mentions(refused({1, 2, 3}, 2), {"windows of 2", "got 3"}));
    CHECK(mentions(refused({1, 2}, 0), {"windows of 0"}));
    CHECK(mentions(refused({}, 2), {"windows of 2", "got 0"}));
    CHECK(mentions(refused({1, 50}, 2), {"token 1", "below 50", "got 50"}));
    CHECK(mentions(refused({-1, 2}, 2), {"token 0", "got -1"}));
}

TEST_CASE("activations that are not finite are reported by layer, window and token") {
    const auto broken = [](const std::string& tensor, float value, std::size_t experts) {
        const memory_source whole = make_tiny_model({.experts = experts, .experts_used = 1});
        memory_source source;
        source.metadata() = whole.metadata();
        for (const tensor_info& info : whole.tensors()) {
            std::vector<float> values(info.weights());
            whole.read(info, 0, info.rows(), values);
            if (info.name == tensor) values[3] = value;
            source.add(info.name, std::span<const std::uint64_t>(info.dims.data(), info.rank), std::move(values));
        }
        const decoder::model decoder(source);
        const std::vector<std::int32_t> tokens{4, 5, 6, 4, 0, 6};
        return support::message_of<error>([&] {
            decoder::activations state = decoder.embed({tokens, 3});
            decoder.run(state);
        });
    };
    constexpr float nan = std::numeric_limits<float>::quiet_NaN();
    constexpr float infinity = std::numeric_limits<float>::infinity();
    CHECK(mentions(broken("token_embd.weight", nan, 0), {"embedding", "window 1, token 1", "got nan"}));
    CHECK(mentions(broken("blk.1.ffn_down.weight", infinity, 0), {"layer 1", "window 0, token 0", "wanted finite"}));
    CHECK(mentions(broken("blk.1.attn_v.weight", nan, 0), {"layer 1", "window 0, token 0", "got nan"}));
    CHECK(mentions(broken("blk.0.ffn_gate_inp.weight", nan, 4), {"layer 0, router", "window 0, token 0", "got nan"}));
}
