#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "support/support.hpp"
#include "tessera/files/damage_file.hpp"
#include "tessera/files/plan_file.hpp"
#include "tessera/format/combination.hpp"
#include "tessera/format/scalar_format.hpp"
#include "tessera/select/strategies.hpp"

using namespace tessera;

namespace {

tensor_info tensor(std::string name, std::uint64_t columns, std::uint64_t rows) {
    return {.name = std::move(name), .dims = {columns, rows, 1, 1}, .rank = 2, .layout = *find_type(type_id::bf16)};
}

const std::vector<tensor_info> tied{tensor("token_embd.weight", 256, 100), tensor("blk.0.ffn_up.weight", 256, 512)};

const select::damage_table table{{
    {"token_embd.weight", {{*find_type(type_id::q4_k), 0.1 + 0.2}, {*find_type(type_id::q8_0), 1e-9}}, 0.5, 0.0625},
    {"output.weight", {{*find_type(type_id::q4_k), 0.75}}, 1.5, 0.25, "", {"token_embd.weight"}},
    {"blk.0.ffn_up.weight", {{*find_type(type_id::iq2_xxs), 0.125}}, 0.25, 0.0, "token_embd.weight"},
}};

struct own_layout : combination<3, 64, scale<ue4m3>, symmetric<3>> {
    static constexpr std::string_view name = "own_64";
    static constexpr type_id type = type_id::first_private;
};
using own_format = scalar_format<own_layout>;
using own_formats = format_list<f32, q4_k, own_format>;

std::string replaced(std::string text, const std::string& what, const std::string& with) {
    const std::size_t at = text.find(what);
    REQUIRE(at != std::string::npos);
    return text.replace(at, what.size(), with);
}

}  // namespace

TEST_CASE("a damage table comes back from its file as it was, to the last bit") {
    const support::scratch_dir folder;
    save_damage(folder / "damage.json", table, tied);
    const select::damage_table read = load_damage(folder / "damage.json", tied);
    REQUIRE(read.tensors.size() == 3);
    for (const select::tensor_damage& wanted : table.tensors) {
        const select::tensor_damage* got = read.find(wanted.name);
        REQUIRE(got != nullptr);
        CHECK(got->sensitivity == wanted.sensitivity);
        CHECK(got->sensitivity_error == wanted.sensitivity_error);
        CHECK(got->priced_as == wanted.priced_as);
        CHECK(got->between == wanted.between);
        CHECK(got->options.size() == wanted.options.size());
        for (const select::damage_option& option : wanted.options)
            CHECK(got->damage(option.layout.id) == option.damage);
        CHECK_FALSE(got->damage(type_id::q5_1).has_value());
    }
    CHECK(read.find("blk.0.ffn_down.weight") == nullptr);
}

TEST_CASE("a damage file that does not fit the model or makes no sense is refused, with the place") {
    const std::string good = damage_to_json(table, tied);
    const auto complaint = [](const std::string& text, const std::vector<tensor_info>& model = tied) {
        return support::message_of<error>([&] { (void)damage_from_json(text, "d.json", model); });
    };
    const auto has = [](const std::string& text, const char* part) {
        CAPTURE(text);
        CHECK(text.find(part) != std::string::npos);
    };
    has(complaint(good, {tensor("token_embd.weight", 256, 101), tied[1]}), "made for another model");
    has(complaint("{"), "d.json: wanted JSON");
    has(complaint("[]"), "wanted an object");
    has(complaint(replaced(good, "damage table", "plan")), "of the kind");
    has(complaint(replaced(good, "\"version\": 1", "\"version\": 2")),
        "d.json: wanted version 1, got 2, which a later release wrote");
    has(complaint(replaced(good, "\"version\": 1", "\"version\": 0")), "d.json: wanted version 1, got 0");
    has(complaint(replaced(good, "blk.0.ffn_up", "blk.1.ffn_up")),
        "wanted a tensor of the model, got blk.1.ffn_up.weight");
    has(complaint(replaced(good, "\"output.weight", "\"token_embd.weight")), "twice");
    has(complaint(replaced(good, "0.75", "-0.75")),
        "d.json: tensors[1]: damage: Q4_K: wanted a number that is not negative, got -0.75");
    has(complaint(replaced(good, "0.75", "\"much\"")), "got \"much\"");
    has(complaint(replaced(good, "IQ2_XXS", "IQ7")), "got IQ7");
}

TEST_CASE("a file that names a format of a user's list is read with that list, and refused in a sentence without") {
    const std::vector<tensor_info> one{tensor("blk.0.ffn_up.weight", 256, 512)};
    const type_layout own = layout_of<own_format>;
    const std::string damage = damage_to_json({{{"blk.0.ffn_up.weight", {{own, 0.125}}, 0.25, 0.0}}}, one);
    CHECK(damage_from_json<own_formats>(damage, "d.json", one).find("blk.0.ffn_up.weight")->damage(own.id) == 0.125);
    const std::string without = support::message_of<error>([&] { (void)damage_from_json(damage, "d.json", one); });
    CHECK(without.find("wanted one of F32, F16,") != std::string::npos);
    CHECK(without.ends_with(", got own_64"));

    const select::plan plan = select::make_plan(one, select::uniform{own}, fallback_formats::layouts);
    const std::string text = plan_to_json(plan, {});
    const select::plan read = plan_from_json<own_formats>(text, "p.json", one);
    CHECK(read.choices.front().target.layout.block_bytes == own.block_bytes);
    CHECK(read.choices.front().target.type() == own.id);
    CHECK(support::message_of<error>([&] { (void)plan_from_json(text, "p.json", one); }).ends_with(", got own_64"));
}
