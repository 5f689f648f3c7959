// Where a tensor's damage curve is measured.
#pragma once

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <span>
#include <vector>

#include "tessera/core/type_id.hpp"
#include "tessera/damage/measured_tensor.hpp"

namespace tessera {

/// The points at which a tensor's damage curve is measured: p.formats(errors) are those of the formats, p.noises()
/// sizes of random errors, and both together are at most p.count(). Where a tensor is measured at one point only, it is
/// the middle one.
template <class P>
concept curve_points = requires(const P& p, std::span<const format_error> errors) {
    { p.count() } -> std::convertible_to<std::size_t>;
    { p.formats(errors) } -> std::same_as<std::vector<type_layout>>;
    { p.noises() } -> std::same_as<std::vector<double>>;
};

/// Random errors of known sizes. Independent of formats and encoders, and precise: divergence follows the square of the
/// size closely. Leaves out what encoders do to a tensor beside adding noise, which matters from about 15 % error on.
struct perturbation {
    std::vector<double> sizes{0.05, 0.15};

    [[nodiscard]] std::size_t count() const noexcept { return sizes.size(); }
    [[nodiscard]] std::vector<type_layout> formats(std::span<const format_error>) const { return {}; }
    [[nodiscard]] std::vector<double> noises() const { return sizes; }
};

/// The tensor in real formats: those whose errors come nearest to the given ones.
struct direct {
    std::vector<double> errors{0.07, 0.15, 0.3};

    [[nodiscard]] std::size_t count() const noexcept { return errors.size(); }
    [[nodiscard]] std::vector<type_layout> formats(std::span<const format_error> formats) const {
        std::vector<type_layout> taken;
        for (const double wanted : errors) {
            const auto distance = [&](const format_error& f) { return std::abs(std::log(f.relative_error / wanted)); };
            const auto nearest = std::ranges::min_element(formats, {}, distance);
            if (nearest == formats.end() ||
                std::ranges::find(taken, nearest->layout.id, &type_layout::id) != taken.end())
                continue;
            taken.push_back(nearest->layout);
        }
        return taken;
    }
    [[nodiscard]] std::vector<double> noises() const { return {}; }
};

}  // namespace tessera
