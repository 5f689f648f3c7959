// Long serial work in parts, between which it may be asked to stop.
#pragma once

#include <algorithm>
#include <cstddef>

#include "tessera/core/stop.hpp"

namespace tessera {

/// Calls body(first, count) for panels that together cover [0, size), and looks before each whether work is to stop:
/// for products that take long as a whole. All but the last panel are multiples of every number of lanes, so that a
/// product of floats comes out the same as in one piece.
template <class Body>
void for_each_panel(std::ptrdiff_t size, Body&& body) {
    constexpr std::ptrdiff_t panel = 3072;
    for (std::ptrdiff_t first = 0; first < size; first += panel) {
        stop_if_requested();
        body(first, std::min(panel, size - first));
    }
}

}  // namespace tessera
