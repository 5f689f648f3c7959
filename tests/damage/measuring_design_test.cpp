// What is measured of models of any depth, in how many passes.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <set>
#include <vector>

#include <doctest/doctest.h>

#include "decoder/tiny_model.hpp"
#include "tessera/core/token_windows.hpp"
#include "tessera/damage/damage_meter.hpp"
#include "tessera/damage/measuring_design.hpp"
#include "tessera/decoder/model_metadata.hpp"

using namespace tessera;

namespace {

// Embeddings, so many layers that cost the same, and an output. Every `other`-th layer is of another pattern.
std::vector<measuring_group> groups_of(std::size_t layers, std::size_t tensors = 7, std::size_t other = 0) {
    std::vector<measuring_group> groups{{damage_role::embedding, 1.0, 1}};
    for (std::size_t l = 0; l < layers; ++l)
        groups.push_back({damage_role::layer, static_cast<double>(layers - l) / static_cast<double>(layers), tensors,
                          other > 0 && l % other == other - 1 ? 1u : 0u});
    groups.push_back({damage_role::output, 0.0, 1});
    return groups;
}

std::size_t measured_layers(const std::vector<group_design>& design) {
    return static_cast<std::size_t>(std::ranges::count_if(design, [](const group_design& d) { return d.points > 0; })) -
           2;
}

}  // namespace

TEST_CASE("a design takes no more passes than it may, whatever the depth") {
    for (const std::size_t layers : {1u, 2u, 3u, 6u, 24u, 32u, 61u, 80u, 126u, 1000u})
        for (const std::size_t tensors : {1u, 7u, 12u})
            for (const std::size_t windows : {1u, 2u, 8u, 64u})
                for (const double passes : {40.0, 100.0}) {
                    CAPTURE(layers);
                    CAPTURE(tensors);
                    CAPTURE(windows);
                    const auto groups = groups_of(layers, tensors);
                    const auto design = design_measuring(groups, {.windows = windows, .passes = passes});
                    CHECK(passes_of(groups, design) <= passes + 1e-6);
                    CHECK(design[1].points > 0);
                    CHECK(design[layers].points > 0);
                    if (layers >= 24) CHECK(design[layers].points == 3);  // shapes for all
                    CHECK(design.back() == group_design{3, 3});
                    for (std::size_t g = 0; g < groups.size(); ++g) {
                        CHECK(design[g].runs <= groups[g].tensors * design[g].points);
                        CHECK(design[g].runs * windows >= groups[g].tensors * design[g].points);
                    }
                }
}

TEST_CASE("models whose whole table fits are measured whole") {
    const auto groups = groups_of(3);
    CHECK(all_passes(groups, 3) == doctest::Approx(2 + 3 + 21 * (1 + 2.0 / 3 + 1.0 / 3)));
    const auto design = design_measuring(groups, {.windows = 8, .passes = 47});
    for (std::size_t g = 0; g < groups.size(); ++g) CHECK(design[g] == group_design{3, groups[g].tensors * 3});
    CHECK(passes_of(groups, design) == doctest::Approx(all_passes(groups, 3)));
    CHECK(passes_of(groups, design_measuring(groups, {.windows = 8, .passes = 46})) < 46.01);
}

TEST_CASE("more passes measure more layers, then more points") {
    for (const std::size_t layers : {24u, 80u}) {
        const auto groups = groups_of(layers);
        std::size_t before = 0, points_before = 0;
        for (double passes = 10; passes < 1000; passes *= 1.1) {
            const auto design = design_measuring(groups, {.windows = 8, .passes = passes});
            const std::size_t now = measured_layers(design);
            std::size_t points = 0;
            for (const group_design& d : design) points += d.points;
            CHECK(now >= before);
            CHECK(points + 6 >= points_before);  // three whole curves may give way to one more layer
            before = now;
            points_before = points;
        }
        CHECK(before == layers);
        CHECK(points_before == 3 * groups.size());
    }
    CHECK(measured_layers(design_measuring(groups_of(32), {.windows = 8})) == 32);
    CHECK(measured_layers(design_measuring(groups_of(80), {.windows = 8})) >= 60);
    CHECK(measured_layers(design_measuring(groups_of(80), {.windows = 4})) >= 30);
}

TEST_CASE("every pattern of layers is measured at both ends") {
    const auto groups = groups_of(64, 7, 8);
    const auto design = design_measuring(groups, {.windows = 2, .passes = 40});
    CHECK(measured_layers(design) < 64);
    for (const std::size_t l : {0u, 7u, 62u, 63u}) CHECK(design[1 + l].points > 0);
}

TEST_CASE("edits share windows evenly, and all are connected") {
    for (const std::size_t edits : {3u, 7u, 12u, 21u})
        for (const std::size_t windows : {16u, 28u, 50u})
            for (std::size_t runs = (2 * edits + windows - 1) / windows; runs <= edits; ++runs) {
                CAPTURE(edits);
                CAPTURE(windows);
                CAPTURE(runs);
                constexpr std::size_t groups = 12;
                // Windows and edits of groups, joined where a window has an edit.
                std::vector<std::size_t> joined(windows + groups * edits);
                std::iota(joined.begin(), joined.end(), 0u);
                const auto root = [&](std::size_t i) {
                    while (joined[i] != i) i = joined[i];
                    return i;
                };
                for (std::size_t g = 0; g < groups; ++g) {
                    std::vector<std::size_t> counts(edits);
                    for (std::size_t w = 0; w < windows; ++w) {
                        std::set<std::size_t> seen;
                        for (std::size_t r = 0; r < runs; ++r) {
                            const std::size_t e = edit_in_window(g, w, windows, r, runs, edits);
                            REQUIRE(e < edits);
                            seen.insert(e);
                            ++counts[e];
                            joined[root(windows + g * edits + e)] = root(w);
                        }
                        CHECK(seen.size() == runs);
                    }
                    const auto [fewest, most] = std::ranges::minmax(counts);
                    CHECK(most - fewest <= 1);
                }
                for (std::size_t i = 0; i < joined.size(); ++i) CHECK(root(i) == root(0));
            }
}

TEST_CASE("groups are the subjects that a meter has") {
    for (const bool tied : {false, true}) {
        const memory_source source = support::make_tiny_model({.tied = tied});
        const decoder::model_spec spec = decoder::make_model_spec(source.metadata());
        const auto groups = measuring_groups(source.tensors(), spec);
        const token_windows windows(std::vector<std::int32_t>(8, 1), 8);
        damage_meter meter(source, windows);
        std::vector<std::size_t> counts(spec.layers.size() + 2);
        for (const damage_subject& s : meter.subjects())
            ++counts[s.role == damage_role::embedding ? 0
                     : s.role == damage_role::output  ? counts.size() - 1
                                                      : 1 + s.layer];
        REQUIRE(groups.size() == counts.size());
        for (std::size_t g = 0; g < groups.size(); ++g) CHECK(groups[g].tensors == counts[g]);
        CHECK(groups.front().run_passes == 1.0);
        CHECK(groups[1].run_passes == doctest::Approx(1.0));
        CHECK(groups.back().run_passes > 0.0);
        CHECK(groups.back().run_passes < groups[groups.size() - 2].run_passes);
    }
}
