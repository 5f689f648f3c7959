// How many tokens work is done on where nobody says.
#pragma once

#include <algorithm>
#include <concepts>
#include <cstdint>

#include "tessera/app/work_cost.hpp"
#include "tessera/app/work_estimate.hpp"

namespace tessera::app {

/// Tokens of a text to calibrate on, and of one to measure damage on; at most so many.
struct work_amounts {
    std::uint64_t calibrated = 0, measured = 0;
};

/// What a command does with its tokens: the cost of that many of each, one part at a time.
template <class Cost>
concept cost_of_tokens = requires(const Cost& cost, double tokens) {
    { cost(tokens) } -> std::convertible_to<work_cost>;
};

/// The tokens that second moments of a model's inputs want: ten for every column of the widest input, and for experts
/// as many more as they share them; at least 262144, which small models work through in minutes.
[[nodiscard]] inline std::uint64_t wanted_calibration_tokens(const model_work& model) noexcept {
    constexpr double tokens_per_column = 10, least = 262144;
    return static_cast<std::uint64_t>(std::max(least, tokens_per_column * model.widest_input()));
}

/// The largest number of tokens, from `least` to `most`, whose cost takes at most so many seconds; `least` where none
/// does. Cost must not fall.
template <cost_of_tokens Cost>
[[nodiscard]] std::uint64_t tokens_within(double seconds, const Cost& cost, const machine_speed& speed,
                                          std::uint64_t least, std::uint64_t most) {
    if (most <= least) return most;
    while (least < most) {
        const std::uint64_t middle = least + (most - least + 1) / 2;
        if (speed.seconds(cost(static_cast<double>(middle))) <= seconds)
            least = middle;
        else
            most = middle - 1;
    }
    return least;
}

/// Divides seconds between calibrating and encoding on a text, and measuring damage on another: half for each, and what
/// one does not need for the other. `wanted` is what they take where there is time enough; never less than `least`.
template <cost_of_tokens Calibration, cost_of_tokens Measuring>
[[nodiscard]] work_amounts amounts_within(double seconds, const Calibration& calibration, const Measuring& measuring,
                                          const machine_speed& speed, const work_amounts& least,
                                          const work_amounts& wanted) {
    const auto calibrated = [&](double part) {
        return tokens_within(part, calibration, speed, least.calibrated, wanted.calibrated);
    };
    const auto measured = [&](double part) {
        return tokens_within(part, measuring, speed, least.measured, wanted.measured);
    };
    const auto taken = [&](const auto& cost, std::uint64_t tokens) {
        return speed.seconds(cost(static_cast<double>(tokens)));
    };
    work_amounts amounts{calibrated(seconds / 2), measured(seconds / 2)};
    if (amounts.calibrated == wanted.calibrated)
        amounts.measured = measured(seconds - taken(calibration, amounts.calibrated));
    else
        amounts.calibrated = calibrated(seconds - taken(measuring, amounts.measured));
    return amounts;
}

}  // namespace tessera::app
