// Damage curves of the tensors that were measured at one point or not at all, from those of their kind in other layers.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <iterator>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "tessera/damage/borrowed_curve.hpp"
#include "tessera/select/damage_curve.hpp"

namespace tessera {

/// A tensor of a layer and what was measured of its curve. Its kind is what the same tensor of another layer has in
/// common with it.
struct depth_curve {
    std::string kind;
    std::size_t layer;
    std::vector<select::damage_point> points{};
};

/// A curve, and where it is not measured, the places of those that it lies between.
struct completed_curve {
    select::damage_curve curve{{}};
    std::vector<std::size_t> between{};
    double relative_error = 0.0;  ///< of an interpolated sensitivity; 0: not known
};

namespace detail {

// Between two curves, in the logarithm: the part `share` of the way from `a` to `b`, at the errors of `a`'s points.
[[nodiscard]] inline select::damage_curve blended(const select::damage_curve& a, const select::damage_curve& b,
                                                  double share) {
    std::vector<select::damage_point> points = a.points();
    for (select::damage_point& p : points) {
        const double other = b(p.relative_error);
        if (other > 0) p.damage *= std::pow(other / p.damage, share);
    }
    return select::damage_curve(std::move(points));
}

// The curve of one point with the shape of others: at their errors, in the geometric mean, what they say of the ratio
// to that point.
[[nodiscard]] inline select::damage_curve shaped(const select::damage_point& known,
                                                 std::span<const select::damage_curve* const> lenders) {
    std::size_t count = lenders.empty() ? 0 : std::size_t{1} << 20;
    for (const auto* lender : lenders) count = std::min(count, lender->points().size());
    std::vector<select::damage_point> points;
    for (std::size_t p = 0; p < count; ++p) {
        double error = 0;
        for (const auto* lender : lenders) error += std::log(lender->points()[p].relative_error);
        error = std::exp(error / static_cast<double>(lenders.size()));
        double ratio = 0;
        for (const auto* lender : lenders) ratio += std::log((*lender)(error) / (*lender)(known.relative_error));
        ratio = std::exp(ratio / static_cast<double>(lenders.size()));
        points.push_back({error, known.damage * ratio, known.standard_error * ratio});
    }
    if (points.empty()) points.push_back(known);
    return select::damage_curve(std::move(points));
}

}  // namespace detail

/// The curves of all tensors. One of several points is its own. One of a single point has the shape that those of its
/// kind with several points have, or, where there is none, of all. One of no point lies, in the logarithm, between the
/// curves of its kind in the nearest layers before and after; its error is the root of the mean square by which curves
/// of its kind miss what their own neighbours would say, or half of what two differ by where there are no more. A kind
/// of which nothing is measured has empty curves.
[[nodiscard]] inline std::vector<completed_curve> complete_curves(std::span<const depth_curve> tensors) {
    std::vector<completed_curve> all(tensors.size());
    std::map<std::string, std::vector<std::size_t>> kinds;  // places, by layer
    for (std::size_t t = 0; t < tensors.size(); ++t) {
        all[t].curve = select::damage_curve(tensors[t].points);
        kinds[tensors[t].kind].push_back(t);
    }
    std::vector<const select::damage_curve*> whole;
    std::vector<select::damage_curve> measured;
    for (const completed_curve& c : all) measured.push_back(c.curve);
    for (const select::damage_curve& c : measured)
        if (c.points().size() > 1) whole.push_back(&c);
    for (auto& [kind, places] : kinds) {
        std::ranges::stable_sort(places, {}, [&](std::size_t t) { return tensors[t].layer; });
        std::vector<const select::damage_curve*> lenders;
        for (const std::size_t t : places)
            if (measured[t].points().size() > 1) lenders.push_back(&measured[t]);
        std::vector<std::size_t> known;  // places that are measured
        for (const std::size_t t : places) {
            if (measured[t].points().size() == 1)
                all[t].curve = detail::shaped(measured[t].points().front(), lenders.empty() ? whole : lenders);
            if (!measured[t].points().empty()) known.push_back(t);
        }
        if (known.empty() || known.size() == places.size()) continue;

        const auto between = [&](std::size_t a, std::size_t t, std::size_t b) {
            const auto depth = [&](std::size_t place) { return static_cast<double>(tensors[place].layer); };
            const double share = a == b ? 0.0 : (depth(t) - depth(a)) / (depth(b) - depth(a));
            return detail::blended(all[a].curve, all[b].curve, share);
        };
        double squares = 0;
        for (std::size_t i = 1; i + 1 < known.size(); ++i) {
            const double said = between(known[i - 1], known[i], known[i + 1]).sensitivity().first;
            const double off = std::log(said / all[known[i]].curve.sensitivity().first);
            squares += off * off;
        }
        double error = 0;
        if (known.size() > 2)
            error = std::sqrt(squares / static_cast<double>(known.size() - 2));
        else if (known.size() == 2)
            error =
                0.5 *
                std::abs(std::log(all[known[0]].curve.sensitivity().first / all[known[1]].curve.sensitivity().first));
        for (const std::size_t t : places) {
            if (!measured[t].points().empty()) continue;
            const auto after =
                std::ranges::find_if(known, [&](std::size_t k) { return tensors[k].layer > tensors[t].layer; });
            const std::size_t b = after == known.end() ? known.back() : *after;
            const std::size_t a = after == known.begin() ? b : *std::prev(after);
            all[t].curve = between(a, t, b);
            all[t].between = a == b ? std::vector{a} : std::vector{a, b};
            all[t].relative_error = error;
        }
    }
    return all;
}

}  // namespace tessera
