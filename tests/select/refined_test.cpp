// Damage curves through measured points, and plans that trade bytes by measurement.
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "support/random.hpp"
#include "tessera/format/builtin.hpp"
#include "tessera/select/damage_curve.hpp"
#include "tessera/select/refined.hpp"

using namespace tessera;

namespace {

constexpr std::size_t tensors = 6;

std::string name_of(std::size_t i) { return "blk." + std::to_string(i) + ".ffn_up.weight"; }

double bits(const type_layout& layout) { return 8.0 * layout.block_bytes / layout.block_size; }

select::menu few() {
    select::menu menu{.formats = {}, .stored = select::stored_type::excluded};
    for (const type_id type :
         {type_id::q8_0, type_id::q6_k, type_id::q5_k, type_id::q4_k, type_id::q3_k, type_id::q2_k})
        menu.formats.push_back(*find_type(type));
    return menu;
}

std::vector<tensor_info> model() {
    std::vector<tensor_info> infos;
    for (std::size_t i = 0; i < tensors; ++i)
        infos.push_back({.name = name_of(i), .dims = {256, 64, 1, 1}, .rank = 2, .layout = *find_type(type_id::bf16)});
    return infos;
}

// What a tensor really costs, whatever a table says.
double cost(std::size_t tensor, const type_layout& layout) {
    return std::pow(3.0, static_cast<double>(tensor)) * std::pow(4.0, -bits(layout));
}

/// Divergences of single tokens: the true costs, and noise that two plans have in common or each for itself.
struct made_up_meter {
    double common, own;
    std::size_t calls = 0, most = 0;

    [[nodiscard]] std::size_t samples() const { return 16; }
    std::vector<float> operator()(const select::plan& plan, std::size_t windows) {
        ++calls;
        most = std::max(most, windows);
        double sum = 0;
        std::uint32_t seed = 7;
        for (std::size_t i = 0; i < tensors; ++i) {
            sum += cost(i, plan.choices[i].target.layout);
            seed = seed * 31 + static_cast<std::uint32_t>(plan.choices[i].target.layout.id);
        }
        const auto shared = support::gaussian(64 * windows, 1), different = support::gaussian(64 * windows, seed);
        std::vector<float> tokens(64 * windows);
        for (std::size_t t = 0; t < tokens.size(); ++t)
            tokens[t] =
                static_cast<float>(sum * (1.0 + 50.0 * (common * double{shared[t]} + own * double{different[t]})));
        return tokens;
    }
};
static_assert(select::meter_of_plans<made_up_meter>);

double total(const select::plan& plan) {
    double sum = 0;
    for (std::size_t i = 0; i < tensors; ++i) sum += cost(i, plan.choices[i].target.layout);
    return sum;
}

// A table by which the last tensor, in truth the dearest, costs next to nothing.
select::budget misled() {
    select::damage_table table;
    for (std::size_t i = 0; i < tensors; ++i) {
        table.tensors.push_back({.name = name_of(i)});
        for (const type_layout& layout : few().formats)
            table.tensors.back().options.push_back(
                {layout, i + 1 == tensors ? 1e-3 * cost(0, layout) : cost(i, layout)});
    }
    return {.damage = table, .limit = select::at_most_bytes{tensors * 256 * 64 / 2}, .choices = few()};
}

}  // namespace

TEST_CASE("a damage curve goes through its points") {
    const select::damage_curve curve({{0.3, 0.05, 0}, {0.05, 0.001, 0.0001}, {0.15, 0.01, 0}});
    CHECK(curve(0.0) == 0.0);
    CHECK(curve(0.05) == doctest::Approx(0.001));
    CHECK(curve(0.15) == doctest::Approx(0.01));
    CHECK(curve(0.3) == doctest::Approx(0.05));
    CHECK(curve(0.025) == doctest::Approx(0.00025));  // squares below the first
    CHECK(curve(std::sqrt(0.05 * 0.15)) == doctest::Approx(std::sqrt(0.001 * 0.01)));
    CHECK(curve(0.6) ==
          doctest::Approx(0.05 * std::pow(2.0, std::log(5.0) / std::log(2.0))));  // as between the last two
    CHECK(curve.sensitivity().first == doctest::Approx(0.4));
    CHECK(curve.sensitivity().second == doctest::Approx(0.04));
}

TEST_CASE("a damage curve never falls, and needs no point") {
    const select::damage_curve falling({{0.1, 0.01, 0}, {0.2, 0.005, 0}, {0.4, 0.02, 0}});
    double before = 0;
    for (double error = 0.01; error < 1.0; error += 0.01) {
        CHECK(falling(error) >= before);
        before = falling(error);
    }
    CHECK(select::damage_curve({})(0.3) == 0.0);
    CHECK(select::damage_curve({{0.1, 0.0, 0}})(0.3) == 0.0);
    CHECK(select::damage_curve({{0.1, 0.01, 0}})(0.3) == doctest::Approx(0.09));
}

TEST_CASE("measured swaps correct a plan made from a wrong table") {
    const auto infos = model();
    const select::budget start = misled();
    const select::plan before = select::make_plan(infos, start, {});
    made_up_meter measure{.common = 0.5, .own = 0.0};
    select::refine_report report;
    const select::plan after =
        select::make_plan(infos, select::refined<made_up_meter>{start, &measure, {.misses = 40}, &report}, {});
    CHECK(total(after) < 0.5 * total(before));
    CHECK(after.bytes() <= std::get<select::at_most_bytes>(start.limit).bytes);
    CHECK(report.taken > 0);
    CHECK(report.tried >= report.taken);
}

TEST_CASE("tensors that the forward pass does not reach trade nothing: measuring would not show it") {
    const auto infos = model();
    select::budget start = misled();
    start.damage.tensors.back().priced_as = start.damage.tensors.front().name;
    const select::plan before = select::make_plan(infos, start, {});
    made_up_meter measure{.common = 0.5, .own = 0.0};
    select::refine_report report;
    const select::plan after =
        select::make_plan(infos, select::refined<made_up_meter>{start, &measure, {.misses = 40}, &report}, {});
    CHECK(report.tried > 0);
    CHECK(after.choices.back().target.type() == before.choices.back().target.type());
}

TEST_CASE("the budget's plan stays where the table is right, and where measurements are too noisy") {
    const auto infos = model();
    select::budget start = misled();
    made_up_meter blind{.common = 0.0, .own = 1e3};
    const select::plan before = select::make_plan(infos, start, {});
    const select::plan same =
        select::make_plan(infos, select::refined<made_up_meter>{start, &blind, {.significance = 6}}, {});
    for (std::size_t i = 0; i < tensors; ++i) CHECK(same.choices[i].target.type() == before.choices[i].target.type());
    CHECK(blind.most == blind.samples());  // the sample grew before it gave up

    for (auto& option : start.damage.tensors.back().options) option.damage = cost(tensors - 1, option.layout);
    made_up_meter exact{.common = 0.1, .own = 0.0};
    select::refine_report report;
    const select::plan kept = select::make_plan(infos, select::refined<made_up_meter>{start, &exact, {}, &report}, {});
    CHECK(report.taken == 0);
    CHECK(report.tried > 0);
    CHECK(exact.most == 2);  // plain losses need no more than the first sample
    CHECK(total(kept) == total(select::make_plan(infos, start, {})));
}
