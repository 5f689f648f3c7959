// Little-endian values in unaligned bytes.
#pragma once

#include <bit>
#include <cstddef>
#include <cstring>
#include <span>
#include <string_view>
#include <type_traits>

namespace tessera {

static_assert(std::endian::native == std::endian::little, "tessera reads and writes little-endian files in place");

using byte_view = std::span<const std::byte>;

/// Reads a T from `bytes`, which need not be aligned. Precondition: at least sizeof(T) bytes are there.
template <class T>
requires std::is_trivially_copyable_v<T>
[[nodiscard]] T load_bytes(const std::byte* bytes) noexcept {
    T value;
    std::memcpy(&value, bytes, sizeof(T));
    return value;
}

/// The bytes of a contiguous range of trivially copyable values.
template <class T, std::size_t N>
requires std::is_trivially_copyable_v<T>
[[nodiscard]] byte_view as_byte_view(std::span<T, N> values) noexcept {
    return std::as_bytes(values);
}

/// Bytes as text.
[[nodiscard]] inline std::string_view as_text(byte_view bytes) noexcept {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace tessera
