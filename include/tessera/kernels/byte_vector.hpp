// Sixteen bytes in a register.
#pragma once

#include <cstdint>
#include <cstring>

namespace tessera::kernels {

/// Sixteen bytes that shift and combine as one: the compilers' own vector type, so that short constant loops over bytes
/// become one instruction on every machine instead of being unrolled byte by byte.
using byte_vector [[gnu::vector_size(16)]] = std::uint8_t;

[[nodiscard]] inline byte_vector load_bytes(const void* from) noexcept {
    byte_vector value;
    std::memcpy(&value, from, sizeof value);
    return value;
}
inline void store_bytes(byte_vector value, void* to) noexcept { std::memcpy(to, &value, sizeof value); }

}  // namespace tessera::kernels
