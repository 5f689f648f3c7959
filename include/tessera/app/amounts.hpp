// How much of a text is worked on where nobody says: by a model's size, and by the time there is.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>

#include "tessera/app/options.hpp"
#include "tessera/core/block_index.hpp"
#include "tessera/core/duration.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/metadata.hpp"
#include "tessera/core/tensor_info.hpp"
#include "tessera/damage/curve_points.hpp"
#include "tessera/damage/measuring_design.hpp"
#include "tessera/decoder/model_metadata.hpp"
#include "tessera/decoder/model_spec.hpp"

namespace tessera::app {

/// Numbers of tokens.
struct amounts {
    std::uint64_t calibration = 0;  ///< to calibrate on, what is held out not counted
    std::uint64_t measuring = 0;    ///< to measure damage on
};

/// The points of a damage curve that is measured whole.
[[nodiscard]] inline std::size_t points_of(const measure_options& measuring) {
    return measuring.measure == damage_measuring::noise ? perturbation{}.count() : direct{}.count();
}

/// The passes that a damage table may take.
[[nodiscard]] inline double passes_within(const measure_options& measuring) noexcept {
    return measuring.passes > 0 ? measuring.passes : measuring_limits::default_passes;
}

/// Tokens to calibrate a model on, if its texts have so many: ten for each column of the widest matrix, since a Gram
/// matrix of fewer is of low rank or nearly so; as many that two for each column reach an expert, if experts are used
/// alike; at least 262,144. Throws when the decoder does not know the model.
[[nodiscard]] inline std::uint64_t default_calibration_tokens(std::span<const tensor_info> tensors,
                                                              const metadata& properties) {
    const double used_share = decoder::make_model_spec(properties).experts.used_share();
    double tokens = 262144;
    for (const tensor_info& info : tensors) {
        if (info.rank < 2 || !block_index(info.name)) continue;
        const auto columns = static_cast<double>(info.columns());
        tokens = std::max(tokens, matrix_count(info) > 1 ? 2 * columns / used_share : 10 * columns);
    }
    return static_cast<std::uint64_t>(tokens);
}

/// The options' number of tokens, or that default.
template <class Model>
[[nodiscard]] std::uint64_t calibration_tokens(std::uint64_t wanted, const Model& model) {
    return wanted > 0 ? wanted : default_calibration_tokens(model.tensors(), model.metadata());
}

/// Fewer are not chosen for want of time.
inline constexpr std::uint64_t least_calibration_tokens = 8192;

/// The largest number from `least` to `most` for which `fits` says so, if what is above one that does not fit does not
/// fit either; `least` if none does.
template <class Fits>
[[nodiscard]] std::uint64_t largest_that(std::uint64_t least, std::uint64_t most, const Fits& fits) {
    while (least < most) {
        const std::uint64_t middle = least + (most - least + 1) / 2;
        if (fits(middle))
            least = middle;
        else
            most = middle - 1;
    }
    return least;
}

/// The largest amounts, from `least` to `most`, for which all work takes at most so many seconds: what is left of them
/// beyond the least is divided between measuring and calibrating in halves, and what one of them does not need is the
/// other's. `seconds_of(amounts)` must not fall. Throws when even the least take longer.
template <class Seconds>
[[nodiscard]] amounts amounts_within(double seconds, const amounts& least, const amounts& most,
                                     const Seconds& seconds_of) {
    const double fixed = seconds_of(least);
    if (fixed > seconds)
        fail("--time: wanted at least ", duration_text(fixed), " for this model and text, got ",
             duration_text(seconds));
    amounts chosen = least;
    const auto measure = [&](double limit) {
        chosen.measuring = largest_that(least.measuring, most.measuring, [&](std::uint64_t n) {
            return seconds_of(amounts{chosen.calibration, n}) <= limit;
        });
    };
    measure(fixed + (seconds - fixed) / 2);
    chosen.calibration = largest_that(least.calibration, most.calibration, [&](std::uint64_t n) {
        return seconds_of(amounts{n, chosen.measuring}) <= seconds;
    });
    measure(seconds);
    return chosen;
}

}  // namespace tessera::app
