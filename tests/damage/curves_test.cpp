// Damages from some windows, curves from some layers.
#include <cmath>
#include <cstddef>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "support/random.hpp"
#include "tessera/damage/depth_curves.hpp"
#include "tessera/damage/fit_damages.hpp"

using namespace tessera;

TEST_CASE("damages from some windows are those of all") {
    constexpr std::size_t windows = 12, edits = 30;
    std::vector<float> random = support::gaussian(windows + edits + windows * edits, 5);
    for (float& x : random) x /= 0.02f;  // of the size 1
    for (const double noise : {0.0, 0.1}) {
        std::vector<measured_edit> all(edits), some(edits);
        for (std::size_t e = 0; e < edits; ++e)
            for (std::size_t w = 0; w < windows; ++w) {
                const double value = std::exp(2.0 * random[windows + e] + 0.7 * random[w] +
                                              noise * random[windows + edits + e * windows + w]);
                all[e].windows.push_back({w, value});
                if ((w + e + e / 4 * (w / 4)) % 4 == 0) some[e].windows.push_back({w, value});
            }
        const auto pointers = [](const std::vector<measured_edit>& from) {
            std::vector<const measured_edit*> to;
            for (const measured_edit& e : from) to.push_back(&e);
            return to;
        };
        const auto whole = fit_damages(pointers(all), windows), part = fit_damages(pointers(some), windows);
        double squares = 0, said = 0;
        for (std::size_t e = 0; e < edits; ++e) {
            double mean = 0;
            for (const window_damage& w : all[e].windows) mean += w.divergence / windows;
            CHECK(whole[e].value == doctest::Approx(mean));
            const double off = part[e].value / mean - 1.0;
            squares += off * off / edits;
            said += part[e].error / part[e].value / edits;
        }
        CHECK(std::sqrt(squares) < 1e-3 + noise);
        CHECK(std::sqrt(squares) > 0.2 * noise);
        if (noise > 0) {
            CHECK(said > 0.4 * noise / std::sqrt(3.0));
            CHECK(said < 1.6 * noise / std::sqrt(3.0));
        } else {
            CHECK(said < 1e-2);
        }
    }
    // Nothing to compare with: no error.
    const measured_edit one{0.1, {{0, 2.0}}}, other{0.1, {{1, 3.0}}};
    const std::vector<const measured_edit*> apart{&one, &other};
    CHECK(fit_damages(apart, 2)[0].error == 0.0);
}

TEST_CASE("curves of one point have the shape of their kind, those of none lie between their neighbours") {
    const auto curve = [](double scale, double bend) {
        std::vector<select::damage_point> points;
        for (const double e : {0.07, 0.15, 0.3}) points.push_back({e, scale * e * e * std::exp(bend * e), 0.0});
        return points;
    };
    const std::vector<depth_curve> tensors{
        {"a", 0, curve(1.0, 2.0)},
        {"b", 0, curve(1.0, 0.0)},
        {"a", 1, {curve(3.0, 2.0)[1]}},
        {"b", 1, {}},
        {"a", 2, {}},
        {"b", 2, curve(4.0, 0.0)},
        {"a", 4, curve(9.0, 2.0)},
        {"b", 4, {}},
    };
    const auto all = complete_curves(tensors);
    REQUIRE(all.size() == tensors.size());
    const auto shape = [](double scale, double bend, double e) { return scale * e * e * std::exp(bend * e); };
    for (const double e : {0.07, 0.15, 0.3}) {
        CHECK(all[0].curve(e) == doctest::Approx(shape(1.0, 2.0, e)));
        CHECK(all[2].curve(e) == doctest::Approx(shape(3.0, 2.0, e)));
        CHECK(all[3].curve(e) == doctest::Approx(shape(2.0, 0.0, e)));
        CHECK(all[4].curve(e) == doctest::Approx(shape(3.0 * std::cbrt(3.0), 2.0, e)));
        CHECK(all[7].curve(e) == doctest::Approx(shape(4.0, 0.0, e)));  // nothing measured behind it
    }
    CHECK(all[2].between.empty());
    CHECK(all[3].between == std::vector<std::size_t>{1, 5});
    CHECK(all[4].between == std::vector<std::size_t>{2, 6});
    CHECK(all[7].between == std::vector<std::size_t>{5});
    // Of kind "a" the neighbours say 9^(1/4) of layer 1, where 3 was measured.
    CHECK(all[4].relative_error == doctest::Approx(std::log(3.0) - 0.25 * std::log(9.0)));
}

TEST_CASE("a curve of one point without any shape to borrow is a square") {
    const std::vector<depth_curve> alone{{"a", 0, {{0.1, 0.02, 0.001}}}, {"b", 0, {}}};
    const auto all = complete_curves(alone);
    CHECK(all[0].curve(0.2) == doctest::Approx(0.08));
    CHECK(all[0].curve.sensitivity().second == doctest::Approx(0.1));
    CHECK(all[1].curve(0.2) == 0.0);
}
