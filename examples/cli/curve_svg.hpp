// Predicted divergence over size as a picture.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace cli {

/// The best plan of a size.
struct curve_point {
    std::uint64_t file_bytes = 0;
    double bits_per_weight = 0.0;
    std::optional<double> damage;  ///< predicted mean KL divergence in nats
};

/// An SVG of the points, bits per weight to the right, divergence upwards in powers of ten. Points without a
/// divergence, or with none at all, are left out. `title` is any text.
std::string curve_svg(const std::vector<curve_point>& points, const std::string& title);

}  // namespace cli
