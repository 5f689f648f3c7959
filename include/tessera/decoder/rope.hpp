// Rotary position embedding.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numbers>
#include <span>
#include <utility>
#include <vector>

#include "tessera/decoder/model_spec.hpp"

namespace tessera::decoder {

/// The rotations of positions 0 .. positions - 1, computed in double once and applied to every head.
class rope_table {
public:
    /// `factors` holds dims / 2 divisors of the angles, or none.
    rope_table(const rope_spec& spec, std::span<const float> factors, std::size_t positions)
        : pairing_(spec.pairing), first_(spec.first), pairs_(spec.dims / 2) {
        std::vector<double> step(pairs_);  // the angle from one position to the next
        for (std::size_t i = 0; i < pairs_; ++i) {
            const double exponent = -2.0 * static_cast<double>(i) / static_cast<double>(spec.dims);
            step[i] = std::pow(spec.base, exponent) / (factors.empty() ? 1.0 : double{factors[i]});
        }
        if (spec.scaling == rope_scaling::linear)
            for (double& s : step) s /= spec.factor;
        if (spec.scaling == rope_scaling::yarn) {
            const yarn_ramp kept(spec);
            for (std::size_t i = 0; i < pairs_; ++i)
                step[i] = step[i] / spec.factor * (1.0 - kept(i)) + step[i] * kept(i);
        }
        turns_.reserve(positions * pairs_);
        for (std::size_t p = 0; p < positions; ++p)
            for (const double s : step)
                turns_.push_back({static_cast<float>(std::cos(static_cast<double>(p) * s) * spec.magnitude),
                                  static_cast<float>(std::sin(static_cast<double>(p) * s) * spec.magnitude)});
    }

    /// Turns one head's query or key, at `head`, in place.
    void apply(float* head, std::size_t position) const noexcept {
        head += first_;
        const turn* turns = turns_.data() + position * pairs_;
        if (pairing_ == rope_pairing::adjacent)
            for (std::size_t i = 0; i < pairs_; ++i) rotate(turns[i], head[2 * i], head[2 * i + 1]);
        else
            for (std::size_t i = 0; i < pairs_; ++i) rotate(turns[i], head[i], head[i + pairs_]);
    }

private:
    struct turn {
        float cos, sin;
    };

    // YaRN: the share of its unscaled angle that each pair keeps. Fast pairs keep all of it, slow ones none.
    struct yarn_ramp {
        explicit yarn_ramp(const rope_spec& spec) {
            const auto dims = static_cast<double>(spec.dims);
            const auto pair_of = [&](double turns) {  // the pair that makes so many turns over the original context
                return dims * std::log(spec.original_context / (turns * 2.0 * std::numbers::pi)) /
                       (2.0 * std::log(spec.base));
            };
            low = std::max(0.0, std::floor(pair_of(32.0)));
            high = std::min(dims - 1.0, std::ceil(pair_of(1.0)));
        }
        [[nodiscard]] double operator()(std::size_t pair) const {
            return 1.0 - std::clamp((static_cast<double>(pair) - low) / std::max(0.001, high - low), 0.0, 1.0);
        }
        double low, high;
    };

    static void rotate(turn t, float& x, float& y) noexcept {
        const float turned = x * t.cos - y * t.sin;
        y = x * t.sin + y * t.cos;
        x = turned;
    }

    rope_pairing pairing_;
    std::size_t first_;
    std::size_t pairs_;
    std::vector<turn> turns_;  // position after position
};

}  // namespace tessera::decoder
