// Suggestions for a name that is not known.
#pragma once

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tessera::text {

/// The least number of characters to insert, remove or change on the way from one text to the other (Levenshtein).
[[nodiscard]] inline std::size_t edit_distance(std::string_view from, std::string_view to) {
    std::vector<std::size_t> row(to.size() + 1);  // distances to all prefixes of `to`
    std::iota(row.begin(), row.end(), std::size_t{0});
    for (std::size_t i = 0; i < from.size(); ++i) {
        std::size_t diagonal = std::exchange(row[0], i + 1);
        for (std::size_t j = 0; j < to.size(); ++j) {
            const std::size_t changed = diagonal + (from[i] == to[j] ? 0 : 1);
            diagonal = row[j + 1];
            row[j + 1] = std::min({changed, row[j] + 1, row[j + 1] + 1});
        }
    }
    return row.back();
}

/// The three of `known` that are nearest to `name`, the nearest first, with commas between.
[[nodiscard]] inline std::string nearest_names(std::string_view name, std::vector<std::string_view> known) {
    name = name.substr(0, 256);  // names in files may be of any length
    std::stable_sort(known.begin(), known.end(), [&](std::string_view a, std::string_view b) {
        return edit_distance(name, a) < edit_distance(name, b);
    });
    std::string out;
    for (std::size_t i = 0; i < std::min<std::size_t>(known.size(), 3); ++i)
        out.append(out.empty() ? "" : ", ").append(known[i]);
    return out;
}

}  // namespace tessera::text
