// What the budget buys: the least damage over a whole range of sizes, from one damage table.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <utility>
#include <vector>

#include "tessera/core/type_id.hpp"
#include "tessera/select/budget.hpp"
#include "tessera/select/plan.hpp"
#include "tessera/select/strategies.hpp"

namespace tessera::select {

/// Plans for sizes between the smallest and the one beyond which nothing is gained, in equal ratios; both ends are
/// among them. `draft` has the rules' answers; `wanted` gives everything but the limit. Sizes where nothing changes are
/// left out. `points` is at least 2.
[[nodiscard]] inline std::vector<plan> size_curve(const plan& draft, budget wanted,
                                                  std::span<const type_layout> available, std::size_t points) {
    const auto solve = [&](auto limit) {
        wanted.limit = limit;
        plan solved = draft;
        wanted.settle(solved, available);
        return solved;
    };
    std::vector<plan> plans{solve(at_most_damage{std::numeric_limits<double>::infinity()})};
    plan largest = solve(at_most_bytes{std::uint64_t{1} << 52});
    const double least = static_cast<double>(plans[0].bytes());
    const double ratio = static_cast<double>(largest.bytes()) / least;
    for (std::size_t p = 1; p + 1 < points; ++p) {
        const double bytes = least * std::pow(ratio, static_cast<double>(p) / static_cast<double>(points - 1));
        const auto padding = static_cast<double>(draft.choices.size() * wanted.alignment);
        plan next = solve(at_most_bytes{static_cast<std::uint64_t>(bytes + padding)});
        if (next.bytes() > plans.back().bytes()) plans.push_back(std::move(next));
    }
    if (largest.bytes() > plans.back().bytes()) plans.push_back(std::move(largest));
    return plans;
}

}  // namespace tessera::select
