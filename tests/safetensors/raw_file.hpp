// Safetensors files byte by byte, so that tests can write what no writer would.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "support/support.hpp"

namespace support {

/// Length, header, data.
inline std::string safetensors_bytes(std::string_view header, std::string_view data) {
    std::string bytes(8, '\0');
    const std::uint64_t length = header.size();
    std::memcpy(bytes.data(), &length, sizeof length);
    return bytes.append(header).append(data);
}

/// The bytes of any number of values.
template <class T>
std::string bytes_of(const std::vector<T>& values) {
    return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

}  // namespace support
