#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "support/support.hpp"
#include "tessera/format/builtin.hpp"
#include "tessera/select/standard_mix.hpp"
#include "tessera/select/strategies.hpp"

using namespace tessera;
using nlohmann::json;
using select::mix_model;

namespace {

tensor_info tensor(std::string name, std::uint64_t columns, std::uint64_t rows) {
    return {.name = std::move(name), .dims = {columns, rows, 1, 1}, .rank = 2, .layout = *find_type(type_id::bf16)};
}

std::vector<tensor_info> small_model(std::uint64_t columns = 512) {
    std::vector<tensor_info> tensors{tensor("output.weight", columns, 64), tensor("token_embd.weight", columns, 64),
                                     tensor("output_norm.weight", columns, 1)};
    for (int layer = 0; layer < 16; ++layer)
        for (const char* part : {"attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"})
            tensors.push_back(tensor("blk." + std::to_string(layer) + "." + part + ".weight", columns, 64));
    return tensors;
}

const mix_model small{.architecture = "llama",
                      .layers = 16,
                      .heads = 8,
                      .kv_heads = 2,
                      .experts = 0,
                      .columns = mix_model::importances::present};

struct row {
    std::string_view mix, tables, first_layer, fourth_layer;
};

// token_embd and output; attn_v, attn_k, attn_output, ffn_up and ffn_down of two layers; with importances.
constexpr std::array rows = std::to_array<row>({
    {"Q4_0", "Q4_0 Q6_K", "Q4_0 Q4_0 Q4_0 Q4_0 Q4_1", "Q4_0 Q4_0 Q4_0 Q4_0 Q4_0"},
    {"Q4_1", "Q4_1 Q6_K", "Q4_1 Q4_1 Q4_1 Q4_1 Q4_1", "Q4_1 Q4_1 Q4_1 Q4_1 Q4_1"},
    {"Q8_0", "Q8_0 Q8_0", "Q8_0 Q8_0 Q8_0 Q8_0 Q8_0", "Q8_0 Q8_0 Q8_0 Q8_0 Q8_0"},
    {"Q5_0", "Q5_0 Q6_K", "Q5_0 Q5_0 Q5_0 Q5_0 Q5_1", "Q5_0 Q5_0 Q5_0 Q5_0 Q5_0"},
    {"Q5_1", "Q5_1 Q6_K", "Q5_1 Q5_1 Q5_1 Q5_1 Q5_1", "Q5_1 Q5_1 Q5_1 Q5_1 Q5_1"},
    {"Q2_K", "Q2_K Q6_K", "Q4_K Q2_K Q3_K Q2_K Q3_K", "Q4_K Q2_K Q3_K Q2_K Q3_K"},
    {"Q3_K_S", "Q3_K Q6_K", "Q3_K Q3_K Q3_K Q3_K Q3_K", "Q3_K Q3_K Q3_K Q3_K Q3_K"},
    {"Q3_K_M", "Q3_K Q6_K", "Q5_K Q3_K Q4_K Q3_K Q5_K", "Q4_K Q3_K Q4_K Q3_K Q4_K"},
    {"Q3_K_L", "Q3_K Q6_K", "Q5_K Q3_K Q5_K Q3_K Q5_K", "Q5_K Q3_K Q5_K Q3_K Q5_K"},
    {"Q4_K_S", "Q4_K Q6_K", "Q5_K Q4_K Q4_K Q4_K Q5_K", "Q5_K Q4_K Q4_K Q4_K Q4_K"},
    {"Q4_K_M", "Q4_K Q6_K", "Q6_K Q4_K Q4_K Q4_K Q6_K", "Q4_K Q4_K Q4_K Q4_K Q4_K"},
    {"Q5_K_S", "Q5_K Q6_K", "Q5_K Q5_K Q5_K Q5_K Q5_K", "Q5_K Q5_K Q5_K Q5_K Q5_K"},
    {"Q5_K_M", "Q5_K Q6_K", "Q6_K Q5_K Q5_K Q5_K Q6_K", "Q5_K Q5_K Q5_K Q5_K Q5_K"},
    {"Q6_K", "Q6_K Q6_K", "Q6_K Q6_K Q6_K Q6_K Q6_K", "Q6_K Q6_K Q6_K Q6_K Q6_K"},
    {"IQ2_XXS", "Q2_K Q5_K", "Q4_K IQ2_XXS IQ2_XXS IQ2_XXS Q2_K", "Q4_K IQ2_XXS IQ2_XXS IQ2_XXS IQ2_XXS"},
    {"IQ2_XS", "Q2_K Q5_K", "Q4_K IQ2_XS IQ2_XS IQ2_XS Q2_K", "Q4_K IQ2_XS IQ2_XS IQ2_XS IQ2_XS"},
    {"Q2_K_S", "Q2_K Q6_K", "Q4_K Q2_K Q2_K Q2_K Q4_K", "Q4_K Q2_K Q2_K Q2_K Q2_K"},
    {"IQ3_XS", "IQ3_S Q6_K", "Q4_K IQ3_XXS IQ3_S IQ3_S IQ3_S", "Q4_K IQ3_XXS IQ3_S IQ3_XXS IQ3_S"},
    {"IQ3_XXS", "IQ3_S Q5_K", "Q4_K IQ2_S IQ3_S IQ3_XXS IQ3_XXS", "Q4_K IQ2_S IQ3_S IQ3_XXS IQ3_XXS"},
    {"IQ1_S", "Q2_K Q5_K", "Q4_K IQ1_S IQ2_XXS IQ1_S Q2_K", "Q4_K IQ1_S IQ2_XXS IQ1_S IQ1_S"},
    {"IQ4_NL", "IQ4_NL Q6_K", "Q5_K IQ4_NL IQ4_NL IQ4_NL IQ4_NL", "Q5_K IQ4_NL IQ4_NL IQ4_NL IQ4_NL"},
    {"IQ3_S", "IQ3_S Q6_K", "Q4_K IQ3_S IQ3_S IQ3_S IQ3_S", "Q4_K IQ3_S IQ3_S IQ3_S IQ3_S"},
    {"IQ3_M", "IQ3_S Q6_K", "Q4_K IQ3_S Q4_K IQ3_S Q4_K", "Q4_K IQ3_S Q4_K IQ3_S IQ3_S"},
    {"IQ2_S", "IQ3_S Q5_K", "Q4_K IQ2_XS IQ3_S IQ2_XS IQ3_S", "Q4_K IQ2_XS IQ3_S IQ2_XS IQ2_XS"},
    {"IQ2_M", "IQ3_S Q5_K", "Q4_K IQ2_S IQ3_S IQ2_S IQ3_S", "Q4_K IQ2_S IQ3_S IQ2_S IQ2_S"},
    {"IQ4_XS", "IQ4_XS Q6_K", "Q5_K IQ4_XS IQ4_XS IQ4_XS IQ4_XS", "Q5_K IQ4_XS IQ4_XS IQ4_XS IQ4_XS"},
    {"IQ1_M", "Q2_K Q5_K", "Q4_K IQ1_M IQ2_XXS IQ1_M Q2_K", "Q4_K IQ1_M IQ2_XXS IQ1_M IQ1_M"},
    {"TQ1_0", "Q4_K Q6_K", "TQ1_0 TQ1_0 TQ1_0 TQ1_0 TQ1_0", "TQ1_0 TQ1_0 TQ1_0 TQ1_0 TQ1_0"},
    {"TQ2_0", "Q4_K Q6_K", "TQ2_0 TQ2_0 TQ2_0 TQ2_0 TQ2_0", "TQ2_0 TQ2_0 TQ2_0 TQ2_0 TQ2_0"},
    {"MXFP4_MOE", "Q8_0 Q8_0", "Q8_0 Q8_0 Q8_0 Q8_0 Q8_0", "Q8_0 Q8_0 Q8_0 Q8_0 Q8_0"},
    {"Q1_0", "Q1_0 Q6_K", "Q1_0 Q1_0 Q1_0 Q1_0 Q1_0", "Q1_0 Q1_0 Q1_0 Q1_0 Q1_0"},
});

constexpr std::span<const type_layout> formats = builtin_formats::layouts;

select::mix mix_of(std::string_view name) { return select::find_mix(name, formats).value(); }

select::plan plan_of(std::string_view name, const std::vector<tensor_info>& tensors) {
    const select::standard_mix strategy(mix_of(name), small, tensors, formats);
    return select::make_plan(tensors, strategy, type_layouts);
}

const select::choice& choice_of(const select::plan& plan, const std::string& name) {
    const auto found = std::ranges::find(plan.choices, name, [](const select::choice& c) { return c.target.name; });
    REQUIRE(found != plan.choices.end());
    return *found;
}

std::string types_of(const select::plan& plan, std::initializer_list<std::string> names) {
    std::string text;
    for (const std::string& name : names)
        text += (text.empty() ? "" : " ") + std::string(choice_of(plan, name).target.layout.name);
    return text;
}

std::string layer(const select::plan& plan, int number) {
    const std::string block = "blk." + std::to_string(number) + ".";
    return types_of(plan, {block + "attn_v.weight", block + "attn_k.weight", block + "attn_output.weight",
                           block + "ffn_up.weight", block + "ffn_down.weight"});
}

}  // namespace

TEST_CASE("the mixes of a small model") {
    const std::vector<tensor_info> tensors = small_model();
    for (const row& r : rows) {
        CAPTURE(r.mix);
        const select::plan plan = plan_of(r.mix, tensors);
        CHECK(types_of(plan, {"token_embd.weight", "output.weight"}) == r.tables);
        CHECK(layer(plan, 0) == r.first_layer);
        CHECK(layer(plan, 3) == r.fourth_layer);
        CHECK(choice_of(plan, tensors[2].name).why == select::reason::kept);  // a norm
    }
}

TEST_CASE("mixes have names, aliases and llama.cpp's numbers") {
    CHECK(mix_of("q4_k_m").file_type == 15);
    CHECK(mix_of("Q4_K").file_type == 15);
    CHECK(mix_of("Q3_K").file_type == 12);
    CHECK_FALSE(select::find_mix("NVFP4", formats));
    const std::vector<select::mix> mixes = select::mixes_of(formats);
    for (const select::mix& a : mixes)
        for (const select::mix& b : mixes) CHECK((a.name == b.name) == (a.file_type == b.file_type));
    CHECK(select::mix_names(formats).starts_with("F32, F16, Q4_0, Q4_1, Q8_0, Q5_0, Q5_1, Q2_K, Q3_K_S, Q3_K_M, "));
    // Every rule names mixes there are.
    for (const select::mix_rule& rule : select::mix_rules) {
        std::string_view rest = rule.mixes;
        while (rest != "*" && !rest.empty()) {
            const std::string_view name = rest.substr(0, rest.find(' '));
            CHECK_MESSAGE(mix_of(name).name == name, name);
            rest.remove_prefix(std::min(rest.size(), name.size() + 1));
        }
    }
}

TEST_CASE("mixes that are useless without importances say so, and rows that nothing takes, too") {
    mix_model blind = small;
    blind.columns = mix_model::importances::absent;
    const auto complaint = [&](const char* name, std::uint64_t columns) {
        return support::message_of<error>(
            [&] { (void)select::standard_mix(mix_of(name), blind, small_model(columns), formats); });
    };
    CHECK(complaint("IQ2_XS", 512).find("mix IQ2_XS: wanted importances") == 0);
    CHECK(complaint("Q2_K_S", 512).find("wanted importances") != std::string::npos);
    CHECK(complaint("Q1_0", 576).find("Q1_0 wants Q1_0, which does not take them") != std::string::npos);
    (void)select::standard_mix(mix_of("Q2_K"), blind, small_model(), formats);  // fine
}

TEST_CASE("rows that are no whole blocks get llama-quantize's substitute, and the plan says what was meant") {
    struct expected {
        const char* mix;
        std::uint64_t columns;
        std::string_view query, query_wanted;
    };
    for (const expected& e : std::to_array<expected>({{"Q4_K_M", 2688, "Q5_0", "Q4_K"},
                                                      {"Q4_K_M", 1856, "Q5_0", "Q4_K"},
                                                      {"Q5_K_M", 1856, "Q5_1", "Q5_K"},
                                                      {"Q6_K", 1856, "Q8_0", "Q6_K"},
                                                      {"Q2_K", 1856, "Q4_0", "Q2_K"},
                                                      {"IQ4_XS", 1856, "IQ4_NL", "IQ4_XS"},
                                                      {"Q4_K_M", 172, "F16", "Q4_K"},
                                                      {"Q8_0", 172, "F16", "Q8_0"},
                                                      {"Q4_0", 172, "F16", "Q4_0"},
                                                      {"IQ4_NL", 172, "F16", "IQ4_NL"},
                                                      {"MXFP4_MOE", 172, "F16", "Q8_0"}})) {
        CAPTURE(e.mix);
        CAPTURE(e.columns);
        const select::plan plan = plan_of(e.mix, small_model(e.columns));
        const select::choice& made = choice_of(plan, "blk.3.attn_q.weight");
        CHECK(made.target.layout.name == e.query);
        CHECK(made.wanted.name == e.query_wanted);
        CHECK(made.why == select::reason::row_length);
    }
    // Pins before a mix keep what they settled.
    const auto tensors = small_model();
    const select::pinned pin{[](const tensor_info& info) { return info.name == "output.weight"; },
                             *find_type(type_id::q8_0)};
    const select::standard_mix strategy(mix_of("Q4_K_M"), small, tensors, formats);
    const select::plan plan = select::make_plan(tensors, select::first_match(pin, strategy), type_layouts);
    CHECK(choice_of(plan, "output.weight").target.layout.name == "Q8_0");
    CHECK(choice_of(plan, "blk.3.attn_q.weight").why == select::reason::requested);
}

TEST_CASE("every tensor of eight models in 35 mixes gets what llama-quantize gives it") {
    const auto folder = support::shared("golden/mixes");
    if (!folder) return;
    std::size_t decisions = 0, refusals = 0, models = 0;
    std::mt19937 random(7);
    for (const auto& entry : support::fs::directory_iterator(*folder)) {
        if (entry.path().extension() != ".json") continue;
        ++models;
        CAPTURE(entry.path().filename().string());
        const json golden = json::parse(support::read_text(entry.path()));
        std::vector<tensor_info> tensors;
        for (const json& t : golden["tensors"]) {
            tensor_info info{.name = t[0], .rank = static_cast<std::uint32_t>(t[1].size())};
            for (std::size_t d = 0; d < t[1].size(); ++d) info.dims[d] = t[1][d];
            tensors.push_back(info);
        }
        std::vector<std::size_t> order(tensors.size());  // a source may have any
        for (std::size_t t = 0; t < order.size(); ++t) order[t] = t;
        std::shuffle(order.begin(), order.end(), random);
        std::vector<tensor_info> shuffled;
        for (const std::size_t t : order) shuffled.push_back(tensors[t]);

        CHECK(golden["plans"].size() == select::mixes_of(formats).size());
        for (const auto& item : golden["plans"].items())
            for (const json& plan : item.value()) {
                const std::string name = item.key();
                CAPTURE(name);
                const select::mix mix = mix_of(name);
                const json& params = golden["params"];
                const mix_model model{
                    .architecture = golden["arch"],
                    .layers = params["n_layer"],
                    .heads = params["n_head"],
                    .kv_heads = params["n_head_kv"],
                    .experts = params["n_expert"],
                    .columns = plan["imatrix"] ? mix_model::importances::present : mix_model::importances::absent};
                if (plan.contains("error")) {
                    CHECK_THROWS_AS((void)select::mix_types(mix, model, shuffled, formats), error);
                    ++refusals;
                    continue;
                }
                const auto types = select::mix_types(mix, model, shuffled, formats);
                std::size_t wrong = 0;
                for (std::size_t t = 0; t < order.size(); ++t) {
                    const std::string wanted = plan["types"][order[t]];
                    const std::string got(types[t] ? types[t]->written.name : "keep");
                    if (wanted != got && wrong++ == 0) CHECK_MESSAGE(wanted == got, shuffled[t].name);
                }
                CHECK(wrong == 0);
                decisions += order.size();
                if (model.columns == mix_model::importances::absent) {
                    const bool aborts = plan.contains("aborts_without_imatrix");
                    CHECK((select::needs_importances(mix, shuffled, types) != nullptr) == aborts);
                    refusals += aborts;
                }
            }
    }
    CHECK(models == 8);
    CHECK(decisions > 200'000);
    CHECK(refusals > 50);
}
