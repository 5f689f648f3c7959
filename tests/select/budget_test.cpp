#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "support/support.hpp"
#include "tessera/format/builtin.hpp"
#include "tessera/select/budget.hpp"
#include "tessera/select/curve.hpp"

using namespace tessera;

namespace {

tensor_info tensor(std::string name, std::uint64_t columns, std::uint64_t rows, std::uint64_t experts = 1) {
    return {.name = std::move(name),
            .dims = {columns, rows, experts, 1},
            .rank = experts > 1 ? 3u : 2u,
            .layout = *find_type(type_id::bf16)};
}

const std::vector<type_layout> available{*find_type(type_id::f32), *find_type(type_id::f16), *find_type(type_id::q8_0)};

select::menu menu_of(std::initializer_list<type_id> types, select::stored_type stored = select::stored_type::allowed) {
    select::menu menu{.formats = {}, .stored = stored};
    for (const type_id type : types) menu.formats.push_back(*find_type(type));
    return menu;
}

const select::menu few = menu_of({type_id::q8_0, type_id::q6_k, type_id::q4_k, type_id::q4_0, type_id::q2_k});

/// Damage that quarters with each bit.
select::tensor_damage damage_of(const std::string& name, double scale) {
    select::tensor_damage damage{.name = name};
    for (const type_layout& layout : few.formats) {
        const double bits = 8.0 * layout.block_bytes / layout.block_size;
        damage.options.push_back({layout, scale * std::pow(4.0, -bits)});
    }
    return damage;
}

const std::vector<tensor_info> untied{
    tensor("token_embd.weight", 512, 1000),    tensor("output.weight", 512, 1000),
    tensor("blk.0.attn_norm.weight", 512, 1),  tensor("blk.0.attn_v.weight", 512, 64),
    tensor("blk.0.ffn_up.weight", 512, 96, 8), tensor("blk.0.ffn_down.weight", 96, 512, 8)};

const select::damage_table damage{{damage_of("token_embd.weight", 1.0), damage_of("output.weight", 8.0),
                                   damage_of("blk.0.attn_v.weight", 30.0), damage_of("blk.0.ffn_up.weight", 3.0),
                                   damage_of("blk.0.ffn_down.weight", 5.0)}};

std::uint64_t padded(const select::plan& plan) {
    std::uint64_t sum = 0;
    for (const select::choice& c : plan.choices) sum += (c.target.bytes() + 31) / 32 * 32;
    return sum;
}

const select::choice& find(const select::plan& plan, std::string_view name) {
    for (const select::choice& c : plan.choices)
        if (c.target.name == name) return c;
    FAIL("no " << name);
    return plan.choices.front();
}

/// The least damage within `bytes`, by trying every combination of the menu.
double brute_force(const std::vector<tensor_info>& tensors, std::uint64_t bytes, std::size_t first = 0) {
    if (first == tensors.size()) return 0.0;
    const tensor_info& info = tensors[first];
    if (select::stays_full_precision(info)) {
        const std::uint64_t own = info.weights() * 4;
        return own > bytes ? INFINITY : brute_force(tensors, bytes - own, first + 1);
    }
    double best = INFINITY;
    for (const type_layout& layout : few.of(info, available)) {
        const std::uint64_t own = with_layout(info, layout).bytes();
        if (own > bytes) continue;
        const double here = layout.id == info.type() ? 0.0 : *damage.find(info.name)->damage(layout.id);
        best = std::min(best, here + brute_force(tensors, bytes - own, first + 1));
    }
    return best;
}

}  // namespace

TEST_CASE("a budget gives the least damage of all plans within it") {
    for (const std::uint64_t bytes : {702'000u, 800'000u, 1'000'000u, 1'500'000u, 2'500'000u, 4'000'000u}) {
        CAPTURE(bytes);
        const select::budget budget{.damage = damage, .limit = select::at_most_bytes{bytes, 1000}, .choices = few};
        const select::plan plan = select::make_plan(untied, budget, available);
        CHECK(padded(plan) + 1000 <= bytes);
        REQUIRE(plan.damage().has_value());
        CHECK(*plan.damage() == doctest::Approx(brute_force(untied, bytes - 1000)).epsilon(1e-4));
        CHECK(*plan.gap < 1e-4);
        CHECK(find(plan, "blk.0.attn_norm.weight").target.type() == type_id::f32);
        CHECK(find(plan, "blk.0.attn_norm.weight").why == select::reason::kept);
        CHECK(find(plan, "blk.0.attn_v.weight").why == select::reason::budget);
        CHECK(find(plan, "blk.0.ffn_down.weight").target.layout.block_size <= 32);  // rows of 96
        for (const select::choice& c : plan.choices) CHECK(c.damage.has_value());
    }
    const select::budget all{.damage = damage, .limit = select::at_most_bytes{1ull << 40}, .choices = few};
    CHECK(select::make_plan(untied, all, available).damage() == 0.0);  // room for everything as it is stored
}

TEST_CASE("a damage target gives the least size of all plans within it") {
    for (const double nats : {0.3, 0.05, 0.01, 1e-4}) {
        CAPTURE(nats);
        const select::budget budget{.damage = damage, .limit = select::at_most_damage{nats}, .choices = few};
        const select::plan plan = select::make_plan(untied, budget, available);
        CHECK(*plan.damage() <= nats);
        CHECK(brute_force(untied, padded(plan) - 32 - padded(plan) / 5000) > nats);  // less room would not do
    }
}

TEST_CASE("rules before a budget settle their tensors, which count with their bytes and damage") {
    const select::pinned pin{[](const tensor_info& info) { return info.name == "output.weight"; },
                             *find_type(type_id::q6_k)};
    const select::first_match strategy(
        pin, select::budget{.damage = damage, .limit = select::at_most_bytes{1'100'000}, .choices = few});
    static_assert(select::selection_strategy<decltype(strategy)> && !select::type_rule<decltype(strategy)>);
    const select::plan plan = select::make_plan(untied, strategy, available);
    CHECK(find(plan, "output.weight").target.type() == type_id::q6_k);
    CHECK(find(plan, "output.weight").why == select::reason::requested);
    CHECK(find(plan, "output.weight").damage == damage.find("output.weight")->damage(type_id::q6_k));
    CHECK(find(plan, "token_embd.weight").why == select::reason::budget);
    CHECK(padded(plan) <= 1'100'000);
    CHECK(padded(plan) > 1'080'000);
}

TEST_CASE("a limit out of reach says what is possible and which pins stand in the way") {
    const select::pinned pin{
        [](const tensor_info& info) { return info.name.ends_with("t.weight") || info.name == "token_embd.weight"; },
        *find_type(type_id::q8_0)};
    const auto complaint = [](const auto& strategy) {
        return support::message_of<error>([&] { (void)select::make_plan(untied, strategy, available); });
    };
    select::budget budget{.damage = damage, .limit = select::at_most_bytes{300'000, 64}, .choices = few};
    const std::string small = complaint(budget);
    const auto number_after = [](const std::string& text, std::string_view word) {
        return std::stoull(text.substr(text.find(word) + word.size()));
    };
    CHECK(small.find("wanted at most 300000 bytes") != std::string::npos);
    CHECK(small.find("pinned") == std::string::npos);
    const std::uint64_t least = number_after(small, "smallest possible is ");
    budget.limit = select::at_most_bytes{least, 64};
    CHECK(padded(select::make_plan(untied, budget, available)) + 64 == least);  // it is possible, and nothing less
    budget.limit = select::at_most_bytes{least - 1, 64};
    CHECK(number_after(complaint(budget), "smallest possible is ") == least);

    const std::string pinned = complaint(select::first_match(pin, budget));
    CAPTURE(pinned);
    const std::uint64_t excess = 2 * 1000 * (544 - 168);  // two tables of Q8_0 that might be Q2_K
    CHECK(number_after(pinned, "smallest possible is ") == least + excess);
    CHECK(pinned.find("stand in the way with " + std::to_string(excess) + " bytes: ") != std::string::npos);
    CHECK(pinned.find("output.weight (Q8_0, " + std::to_string(excess / 2) + " bytes)") != std::string::npos);

    budget.limit = select::at_most_damage{1e-9};
    budget.choices.stored = select::stored_type::excluded;
    CHECK(complaint(budget).find("wanted at most 1e-09 nats, the least possible is ") != std::string::npos);
    budget.limit = select::at_most_bytes{0, 64};  // less than the header alone
    CHECK(complaint(budget).find("wanted at most 0 bytes") != std::string::npos);
}

TEST_CASE("a tied table is embedding and output at once, and is written twice only where that wins") {
    const std::vector<tensor_info> tied{tensor("token_embd.weight", 512, 1000), tensor("blk.0.attn_v.weight", 512, 64)};
    select::damage_table table{
        {damage_of("token_embd.weight", 1.0), damage_of("output.weight", 8.0), damage_of("blk.0.attn_v.weight", 1.0)}};
    const auto solve = [&](std::uint64_t bytes) {
        const select::budget budget{.damage = table,
                                    .limit = select::at_most_bytes{bytes},
                                    .choices = few,
                                    .tied = {.allowed = select::tied_output::copies::one_or_two, .header = 64}};
        return select::make_plan(tied, budget, available);
    };
    for (const std::uint64_t bytes : {200'000u, 500'000u, 700'000u, 4'000'000u}) {
        const select::plan plan = solve(bytes);
        REQUIRE(plan.choices.size() == 2);  // the better of two copies would do for both roles
        const type_id type = plan.choices[0].target.type();
        if (type != type_id::bf16)
            CHECK(plan.choices[0].damage ==
                  doctest::Approx(*table.tensors[0].damage(type) + *table.tensors[1].damage(type)));
    }

    select::damage_table one_entry = table;  // both roles at once
    one_entry.tensors.erase(one_entry.tensors.begin() + 1);
    const select::plan simple = select::make_plan(
        tied, select::budget{.damage = one_entry, .limit = select::at_most_bytes{500'000}, .choices = few}, available);
    CHECK(simple.choices[0].damage == one_entry.tensors[0].damage(simple.choices[0].target.type()));

    // Unless the roles disagree: here Q4_0 is bad for lookups and Q4_K for logits.
    for (select::damage_option& option : table.tensors[0].options)
        if (option.layout.id == type_id::q4_0) option.damage = 10.0;
    for (select::damage_option& option : table.tensors[1].options)
        if (option.layout.id != type_id::q4_0) option.damage = 10.0;
    const select::plan twice = solve(650'000);
    REQUIRE(twice.choices.size() == 3);
    const select::choice& output = twice.choices.back();
    CHECK(output.target.name == "output.weight");
    CHECK(output.made_from == "token_embd.weight");
    CHECK(output.source_name() == "token_embd.weight");
    CHECK(output.target.type() == type_id::q4_0);
    CHECK(output.target.dims == tied[0].dims);
    CHECK(output.damage == table.tensors[1].damage(type_id::q4_0));
    CHECK(twice.choices[0].target.type() == type_id::q4_k);
    CHECK(twice.choices[0].damage == table.tensors[0].damage(type_id::q4_k));
    CHECK(padded(twice) + 64 <= 650'000);
    CHECK(twice.weights() == tied[0].weights() + tied[1].weights());
}

TEST_CASE("a curve falls from the smallest plan to the best, and every point of it is a budget's answer") {
    const select::pinned pin{[](const tensor_info& info) { return info.name == "output.weight"; },
                             *find_type(type_id::q6_k)};
    select::plan draft = select::open_plan(untied);
    select::settle(draft, pin, available);
    const select::budget budget{.damage = damage, .limit = select::at_most_bytes{}, .choices = few};
    const auto plans = select::size_curve(draft, budget, available, 24);
    CHECK(plans.size() > 12);
    for (std::size_t p = 1; p < plans.size(); ++p) {
        CHECK(plans[p].bytes() > plans[p - 1].bytes());
        CHECK(*plans[p].damage() < *plans[p - 1].damage());
    }
    for (const select::plan& plan : plans) CHECK(find(plan, "output.weight").target.type() == type_id::q6_k);
    for (const select::choice& c : plans.back().choices) CHECK((c.damage == 0.0 || c.target.name == "output.weight"));
    const auto again = select::make_plan(
        untied,
        select::first_match(
            pin, select::budget{.damage = damage, .limit = select::at_most_bytes{padded(plans[5])}, .choices = few}),
        available);
    CHECK(*again.damage() == doctest::Approx(*plans[5].damage()));
}

TEST_CASE("what a table does not know is said, not guessed") {
    const select::damage_table some{{damage_of("token_embd.weight", 1.0)}};
    const std::string message = support::message_of<error>([&] {
        const select::budget budget{.damage = some,
                                    .limit = select::at_most_bytes{1'000'000},
                                    .choices = menu_of({type_id::q4_k}, select::stored_type::excluded)};
        (void)select::make_plan(untied, budget, available);
    });
    CHECK(message.find("tensor output.weight: wanted the damage") != std::string::npos);

    // Where the menu allows it, such a tensor stays as it is, and the budget is not given as the reason.
    const select::budget lenient{.damage = some, .limit = select::at_most_bytes{10'000'000}, .choices = few};
    const select::budget tight{.damage = some, .limit = select::at_most_bytes{200'000}, .choices = few};
    const std::string refused = support::message_of<error>([&] { (void)select::make_plan(untied, tight, available); });
    CHECK(refused.find("; tensors that are pinned or of unknown damage stand in the way with ") != std::string::npos);
    CHECK(refused.find("output.weight (BF16") != std::string::npos);
    const select::plan plan = select::make_plan(untied, lenient, available);
    CHECK(find(plan, "token_embd.weight").why == select::reason::budget);
    for (const char* name : {"output.weight", "blk.0.attn_v.weight", "blk.0.ffn_down.weight"}) {
        CHECK(find(plan, name).why == select::reason::unpriced);
        CHECK(find(plan, name).target.type() == type_id::bf16);
    }
}

TEST_CASE("menus are made of formats and presets") {
    const auto portable = std::span(type_layouts).first(7);
    const auto parse = [&](std::string_view text) { return select::parse_menu(text, type_layouts, portable); };
    CHECK(parse("Q4_K").formats.size() == 1);
    CHECK(parse("Q4_K").stored == select::stored_type::excluded);
    CHECK(parse("Q4_K,stored").stored == select::stored_type::allowed);
    CHECK(parse("q4_k,kquants").formats.size() == 6);  // nothing twice
    CHECK(parse("arm-friendly").formats.size() == 6);
    CHECK(parse("portable").formats.size() == portable.size());
    CHECK(parse("portable").stored == select::stored_type::allowed);
    CHECK(parse("portable,Q4_K,Q8_0").formats.size() == portable.size() + 1);
    for (const char* all : {"newest", "all", "portable,newest"})
        CHECK(parse(all).formats.size() == type_layouts.size());
    for (const select::menu_preset& preset : select::menu_presets) CHECK(parse(preset.name).formats.size() >= 5);
    for (const char* wrong : {"", "Q4_K,,Q8_0", "Q9"}) CHECK_THROWS_AS(parse(wrong), error);
    CHECK_THROWS_AS(select::parse_menu("portable", type_layouts), error);  // nobody said which are
    // Of a preset a list offers what it has, and not nothing.
    CHECK(select::parse_menu("kquants", available).formats.size() == 1);
    CHECK_THROWS_AS(select::parse_menu("kquants", std::span(available).first(2)), error);

    const tensor_info narrow = tensor("t", 96, 8);
    CHECK(menu_of({type_id::q4_0, type_id::q6_k}, select::stored_type::excluded).of(narrow, available).size() == 1);
    const auto instead = menu_of({type_id::q6_k}, select::stored_type::excluded).of(narrow, available);
    REQUIRE(instead.size() == 1);
    CHECK(instead[0].id == type_id::q8_0);
    // What a tensor is stored in is no format that its rows fit: the substitute is there beside it.
    const auto beside = menu_of({type_id::q6_k, type_id::q4_k}).of(narrow, available);
    REQUIRE(beside.size() == 2);
    CHECK(beside[0].id == type_id::q8_0);
    CHECK(beside[1].id == type_id::bf16);
}
