// What is measured of a tensor: errors of formats, and damage at a few errors.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "tessera/core/type_id.hpp"

namespace tessera {

/// What the real encoder makes of a tensor in one format: the root of its relative squared error in the outputs where
/// the inputs are known, else in the weights, columns weighted by importance.
struct format_error {
    type_layout layout;
    double relative_error;
};

/// The mean divergence that an edit causes in one window.
struct window_damage {
    std::size_t window = 0;
    double divergence = 0.0;
};

/// An edit of a known error, and what it did in the windows that had it.
struct measured_edit {
    double relative_error = 0.0;
    std::vector<window_damage> windows{};
};

/// All of a tensor.
struct measured_tensor {
    std::string name{};
    std::vector<format_error> errors{};
    std::vector<measured_edit> edits{};  ///< none: it is interpolated
};

}  // namespace tessera
