// Progress of long work, by callback: the library never prints.
#pragma once

#include <cstdint>
#include <string_view>

#include "tessera/core/function_ref.hpp"

namespace tessera {

/// `done` of `total` units of `stage`. Units are named: "bytes", "tokens", "layers".
struct progress {
    std::string_view stage;
    std::string_view unit;
    std::uint64_t done = 0;
    std::uint64_t total = 0;
};

/// Called from one thread at a time, with `done` never falling within a stage. May be empty.
using progress_callback = function_ref<void(const progress&)>;

}  // namespace tessera
