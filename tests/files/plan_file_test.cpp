#include <cmath>
#include <cstdint>
#include <regex>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "support/support.hpp"
#include "tessera/app/target_size.hpp"
#include "tessera/files/plan_file.hpp"
#include "tessera/format/builtin.hpp"
#include "tessera/gguf/writer.hpp"
#include "tessera/select/budget.hpp"
#include "tessera/select/mix_model.hpp"

using namespace tessera;

namespace {

tensor_info tensor(std::string name, std::uint64_t columns, std::uint64_t rows) {
    return {.name = std::move(name),
            .dims = {columns, rows, 1, 1},
            .rank = rows > 1 ? 2u : 1u,
            .layout = *find_type(type_id::bf16)};
}

const std::vector<tensor_info> tied{tensor("token_embd.weight", 256, 1001), tensor("blk.0.attn_norm.weight", 256, 1),
                                    tensor("blk.0.ffn_up.weight", 256, 512), tensor("blk.0.ffn_down.weight", 160, 256)};

metadata properties() {
    metadata p;
    p.set("general.architecture", std::string("llama"));
    p.set("general.name", std::string("some model"));
    p.set("general.file_type", std::uint32_t{32});
    p.set("llama.block_count", std::uint32_t{1});
    p.set("llama.attention.head_count", std::uint32_t{8});
    return p;
}

/// Q4_0 is bad for lookups and all else is bad for logits, so that the table is worth writing twice.
select::damage_table damage() {
    select::damage_table table;
    for (const char* name : {"token_embd.weight", "output.weight", "blk.0.ffn_up.weight", "blk.0.ffn_down.weight"}) {
        select::tensor_damage tensor{.name = name};
        for (const type_layout& format : builtin_formats::layouts) {
            const double bits = 8.0 * format.block_bytes / format.block_size;
            const bool is_bad = (tensor.name == "output.weight") == (format.id != type_id::q4_0);
            tensor.options.push_back({format, std::pow(4.0, -bits) * (is_bad ? 1e6 : 1.0) / 3.0});
        }
        table.tensors.push_back(tensor);
    }
    return table;
}

select::plan solve(std::uint64_t file_bytes) {
    const select::budget budget{.damage = damage(),
                                .limit = file_limit(file_bytes, tied, properties()),
                                .choices = select::parse_menu<builtin_formats>("newest"),
                                .tied = tied_output_of(tied, properties())};
    return select::make_plan(tied, budget, fallback_formats::layouts);
}

std::uint64_t file_bytes(const select::plan& plan) {
    return gguf::file_size(plan.targets(), output_metadata(properties(), plan));
}

std::string replaced(std::string text, const std::string& what, const std::string& with) {
    const std::size_t at = text.find(what);
    REQUIRE(at != std::string::npos);
    return text.replace(at, what.size(), with);
}

}  // namespace

TEST_CASE("a size is that of the whole file: never exceeded, and used up as far as the formats allow") {
    for (std::uint64_t bytes = 180'000; bytes < 700'000; bytes += 4'321) {
        CAPTURE(bytes);
        CHECK(file_bytes(solve(bytes)) <= bytes);
    }
    // To the byte: the size a plan has is enough for a plan as good, one byte less is not enough for the smallest.
    const select::plan plan = solve(300'000);
    CHECK(*solve(file_bytes(plan)).damage() == doctest::Approx(*plan.damage()));
    const std::string message = support::message_of<error>([] { (void)solve(1000); });
    const std::uint64_t least = std::stoull(message.substr(message.find("possible is ") + 12));
    CHECK(file_bytes(solve(least)) == least);
    CHECK_THROWS_AS((void)solve(least - 1), error);

    const auto limit = bits_per_weight_limit(4.5, tied);
    CHECK(limit.bytes == (256u * 1001 + 256 + 256 * 512 + 160 * 256) * 9 / 16);
    for (const double wrong : {0.0, -1.0, 65.0, std::nan("")})
        CHECK_THROWS_AS((void)bits_per_weight_limit(wrong, tied), error);
}

TEST_CASE("a table is written twice only for readers that take it") {
    CHECK(tied_output_of(tied, properties()).allowed == select::tied_output::copies::one_or_two);
    metadata gemma = properties();
    gemma.set("general.architecture", std::string("gemma2"));
    CHECK(tied_output_of(tied, gemma).allowed == select::tied_output::copies::one);
    gemma.set("general.architecture", std::string("of tomorrow"));
    CHECK(tied_output_of(tied, gemma).allowed == select::tied_output::copies::one);
    std::vector<tensor_info> untied = tied;
    untied.push_back(tensor("output.weight", 256, 1001));
    CHECK(tied_output_of(untied, properties()).allowed == select::tied_output::copies::one);
}

TEST_CASE("a plan comes back from its file as it was, tables written twice included") {
    const support::scratch_dir folder;
    const select::plan plan = solve(600'000);
    REQUIRE(plan.choices.size() == tied.size() + 1);
    save_plan(folder / "plan.json", plan, properties());
    const select::plan read = load_plan(folder / "plan.json", tied);
    REQUIRE(read.choices.size() == plan.choices.size());
    for (std::size_t c = 0; c < plan.choices.size(); ++c) {
        const select::choice &wanted = plan.choices[c], &got = read.choices[c];
        CAPTURE(wanted.target.name);
        CHECK(got.target.name == wanted.target.name);
        CHECK(got.target.type() == wanted.target.type());
        CHECK(got.target.dims == wanted.target.dims);
        CHECK(got.source.id == wanted.source.id);
        CHECK(got.wanted.id == wanted.wanted.id);
        CHECK(got.why == wanted.why);
        CHECK(got.damage == wanted.damage);
        CHECK(got.made_from == wanted.made_from);
    }
    const auto file = nlohmann::json::parse(support::read_text(folder / "plan.json"));
    CHECK(file["file_bytes"] == file_bytes(plan));
    CHECK(file["tensor_bytes"] == plan.bytes());
    CHECK(file["predicted_kld"].get<double>() == *plan.damage());
    CHECK(support::message_of<error>([&] { (void)tensor_type_options(plan); }).find("output.weight") !=
          std::string::npos);
}

TEST_CASE("a plan file may be edited, and says what is wrong with it") {
    const select::plan plan =
        select::make_plan(tied, select::uniform{*find_type(type_id::q6_k)}, fallback_formats::layouts);
    const std::string text = plan_to_json(plan, properties());
    const auto read = [](const std::string& edited) { return plan_from_json(edited, "plan.json", tied); };
    CHECK(read(text).choices[3].target.type() == type_id::q8_0);
    CHECK(read(text).choices[3].why == select::reason::row_length);
    CHECK(read(text).choices[3].wanted.id == type_id::q6_k);
    CHECK_FALSE(read(text).damage().has_value());

    const std::string solved = plan_to_json(solve(250'000), properties());
    const std::size_t row = solved.find("blk.0.ffn_up");
    const std::size_t format = solved.find("\"format\":\"", row) + 10;
    std::string edited = solved;
    edited.replace(format, solved.find('"', format) - format, "iq4_nl");
    const select::plan changed = read(edited);
    CHECK(changed.choices[2].target.type() == type_id::iq4_nl);
    CHECK(changed.choices[2].why == select::reason::requested);
    CHECK_FALSE(changed.choices[2].damage.has_value());
    CHECK(changed.choices[0].damage.has_value());

    const auto complains = [&](const std::string& what, const std::string& with, const char* about) {
        const std::string message = support::message_of<error>([&] { (void)read(replaced(text, what, with)); });
        CAPTURE(message);
        CHECK(message.starts_with("plan.json"));
        CHECK(message.find(about) != std::string::npos);
    };
    complains("tessera plan", "tessera damage table", "of the kind");
    complains("blk.0.ffn_up", "blk.9.ffn_up", "wanted a tensor of the model, got blk.9.ffn_up.weight");
    complains("blk.0.ffn_down", "blk.0.ffn_up", "got blk.0.ffn_up.weight twice");
    complains("\"format\":\"Q8_0\"", "\"format\":\"Q6_K\"", "wanted a format that takes rows of 160 weights, got Q6_K");
    complains("\"format\":\"F32\"", "\"format\":\"Q8_0\"", "stays in full precision");
    complains("\"format\":\"Q6_K\"", "\"format\":\"Q9\"", "tensors[0]: format: wanted one of");
    complains("\"format\":\"Q6_K\"", "\"format\":6", "wanted a text, got 6");
    complains("\"format\":\"Q6_K\",", "", "wanted the key \"format\"");
    const std::string without = text.substr(0, text.find(",\n  {\"name\":\"blk.0.ffn_down")) + "]}";
    CHECK(support::message_of<error>([&] { (void)read(without); }).find("got none named blk.0.ffn_down") !=
          std::string::npos);
    std::vector<tensor_info> other = tied;
    other[2].dims[1] = 511;
    CHECK(support::message_of<error>([&] { (void)plan_from_json(text, "plan.json", other); }).find("another model") !=
          std::string::npos);
}

TEST_CASE("options for llama-quantize match one tensor each") {
    const select::plan plan =
        select::make_plan(tied, select::uniform{*find_type(type_id::q4_k)}, fallback_formats::layouts);
    const std::string options = tensor_type_options(plan);
    CHECK(options ==
          "--tensor-type ^token_embd\\.weight$=q4_k\n--tensor-type ^blk\\.0\\.ffn_up\\.weight$=q4_k\n"
          "--tensor-type ^blk\\.0\\.ffn_down\\.weight$=q5_0\n");
    const std::regex expression("^blk\\.0\\.ffn_up\\.weight$");
    CHECK(std::regex_search("blk.0.ffn_up.weight", expression));
    CHECK_FALSE(std::regex_search("blk.0xffn_up.weight", expression));
}

TEST_CASE("the facts that a mix depends on come from the metadata") {
    metadata p = properties();
    using enum select::mix_model::importances;
    CHECK(mix_model_of(p, present).kv_heads == 8);
    CHECK(mix_model_of(p, present).layers == 1);
    CHECK(mix_model_of(p, present).experts == 0);
    p.set("llama.attention.head_count_kv", std::vector<std::int32_t>{2, 4});
    CHECK(mix_model_of(p, absent).kv_heads == 2);
    p.set("llama.expert_count", std::uint32_t{8});
    CHECK(mix_model_of(p, absent).experts == 8);
    p.erase("llama.block_count");
    CHECK(support::message_of<error>([&] { (void)mix_model_of(p, absent); }).find("llama.block_count") !=
          std::string::npos);
}

TEST_CASE("a mix's file type is llama.cpp's number of it") {
    select::plan plan = select::make_plan(tied, select::uniform{*find_type(type_id::q4_k)}, fallback_formats::layouts);
    plan.file_type = select::find_mix("Q4_K_M", builtin_formats::layouts)->file_type;
    CHECK(output_metadata(properties(), plan).require<std::uint32_t>("general.file_type") == 15);
    CHECK(plan_from_json(plan_to_json(plan, properties()), "plan.json", tied).file_type == plan.file_type);
}
