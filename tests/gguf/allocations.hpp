// How much memory the code under test asks for at once.
#pragma once

#include <cstddef>

namespace support {

/// The largest single allocation of this thread since the last reset.
std::size_t largest_allocation() noexcept;
void reset_largest_allocation() noexcept;

}  // namespace support
