// Progress of long work, by callback: the library never prints.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "tessera/core/function_ref.hpp"

namespace tessera {

/// `done` of `total` units of `stage`. Units are named: "tokens", "weights", "tensors". What is at work has a name of
/// its own within the stage's parts, where there are some.
struct progress {
    std::string_view stage;
    std::string_view unit;
    std::uint64_t done = 0;
    std::uint64_t total = 0;     ///< 0: not known yet
    std::string_view part = {};  ///< what the parts are: "layer", "tensor"; empty: there are none
    std::size_t number = 0;      ///< of the part at work, from 1 on
    std::size_t parts = 0;       ///< in the stage
    std::string_view name = {};  ///< of what is at work, most often a tensor; valid during the call
};

/// Called from one thread at a time, with `done` never falling within a stage. May be empty.
using progress_callback = function_ref<void(const progress&)>;

}  // namespace tessera
