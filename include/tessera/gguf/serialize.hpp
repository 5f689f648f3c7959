// From metadata and tensor infos to the bytes of a header, or only to their number.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "tessera/core/metadata.hpp"
#include "tessera/core/tensor_info.hpp"
#include "tessera/gguf/value.hpp"

namespace tessera::gguf {

inline constexpr std::string_view magic = "GGUF";
inline constexpr std::uint32_t written_version = 3;

/// Counts the bytes that are appended to it.
struct byte_counter {
    std::uint64_t count = 0;
    void append(const void*, std::size_t size) noexcept { count += size; }
};

/// Keeps the bytes that are appended to it.
struct byte_buffer {
    std::vector<std::byte> bytes;
    void append(const void* data, std::size_t size) {
        const auto* first = static_cast<const std::byte*>(data);
        bytes.insert(bytes.end(), first, first + size);
    }
};

/// Appends the start of a file: magic, version, counts and all metadata.
template <class Out>
void put_metadata(Out& out, std::uint64_t tensors, const tessera::metadata& properties) {
    out.append(magic.data(), magic.size());
    detail::put(out, written_version);
    detail::put(out, tensors);
    detail::put(out, std::uint64_t{properties.size()});
    for (const auto& [key, value] : properties) {
        detail::put(out, std::string_view(key));
        put_value(out, value);
    }
}

/// Appends one tensor's entry; `offset` counts from the start of the data.
template <class Out>
void put_tensor(Out& out, const tensor_info& info, std::uint64_t offset) {
    detail::put(out, std::string_view(info.name));
    detail::put(out, info.rank);
    for (std::uint32_t d = 0; d < info.rank; ++d) detail::put(out, info.dims[d]);
    detail::put(out, static_cast<std::uint32_t>(info.type()));
    detail::put(out, offset);
}

}  // namespace tessera::gguf
