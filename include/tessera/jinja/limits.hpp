// How much a template may do.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tessera::jinja {

/// Bounds of one rendering, far above what conversations need; templates come from files that nobody vouches for.
struct limits {
    /// Operations, turns of loops, bytes and elements that are looked at or made. Elements count by the bytes they
    /// take, so this bounds memory, too.
    std::uint64_t steps = std::uint64_t{1} << 29;
    std::size_t output_bytes = std::size_t{256} << 20;  ///< text that is rendered
    std::size_t depth = 1000;                           ///< expressions and blocks inside each other, through calls
    std::size_t value_depth = 100;                      ///< lists and mappings inside each other
};

}  // namespace tessera::jinja
