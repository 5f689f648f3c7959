// The damage of edits that were each measured on some of the windows only.
#pragma once

#include <cmath>
#include <cstddef>
#include <span>
#include <vector>

#include "tessera/damage/measured_tensor.hpp"
#include "tessera/measure/statistics.hpp"

namespace tessera {

/// The damage that every edit would have on all `windows`, from what it has on some: a window is a factor by which all
/// edits cost more or less there, so divergence = damage(edit) * factor(window), fitted by turns to the sums of rows
/// and columns. Exact for edits that were measured on all windows. Errors are from how far, in proportion, the fit is
/// off in single windows, the same for all edits; 0 where there are no more windows than the fit needs.
[[nodiscard]] inline std::vector<estimate> fit_damages(std::span<const measured_edit* const> edits,
                                                       std::size_t windows) {
    std::vector<estimate> fitted(edits.size());
    std::vector<double> factors(windows, 1.0);
    double seen = 0;  // windows with any edit
    constexpr int turns = 100;
    for (int turn = 0; turn < turns; ++turn) {
        for (std::size_t e = 0; e < edits.size(); ++e) {
            double divergence = 0, factor = 0;
            for (const auto& [window, value] : edits[e]->windows) {
                divergence += value;
                factor += factors[window];
            }
            fitted[e].value = factor > 0 ? divergence / factor : 0.0;
        }
        // An edit counts the same whatever its damage is.
        std::vector<double> sums(windows, 0.0), counts(windows, 0.0);
        for (std::size_t e = 0; e < edits.size(); ++e) {
            if (!(fitted[e].value > 0)) continue;
            for (const auto& [window, value] : edits[e]->windows) {
                sums[window] += value / fitted[e].value;
                counts[window] += 1.0;
            }
        }
        double all = 0;
        seen = 0;
        for (std::size_t w = 0; w < windows; ++w) {
            if (counts[w] == 0) continue;
            factors[w] = sums[w] / counts[w];
            all += factors[w];
            seen += 1.0;
        }
        if (all > 0)
            for (double& factor : factors) factor *= seen / all;
    }
    double squares = 0, freedom = 1.0 - seen;
    for (std::size_t e = 0; e < edits.size(); ++e) {
        if (!(fitted[e].value > 0)) continue;
        freedom += static_cast<double>(edits[e]->windows.size()) - 1.0;
        for (const auto& [window, value] : edits[e]->windows) {
            const double off = value / (fitted[e].value * factors[window]) - 1.0;
            squares += off * off;
        }
    }
    if (freedom > 0)
        for (std::size_t e = 0; e < edits.size(); ++e)
            fitted[e].error =
                fitted[e].value * std::sqrt(squares / freedom / static_cast<double>(edits[e]->windows.size()));
    return fitted;
}

}  // namespace tessera
