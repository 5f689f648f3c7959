// What the reader refuses to take and the writer refuses to make.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "tessera/core/error.hpp"
#include "tessera/core/printable.hpp"
#include "tessera/core/tensor_info.hpp"
#include "tessera/core/utf8.hpp"

namespace tessera::gguf {

inline constexpr std::size_t max_key_bytes = 65535;
inline constexpr std::size_t max_name_bytes = 63;  // stock readers keep names in 64 bytes, terminator included
inline constexpr std::uint32_t max_rank = 4;

namespace detail {
inline void require_text(std::string_view where, std::string_view what, std::string_view text, std::size_t max_bytes) {
    if (text.empty() || text.size() > max_bytes)
        fail(where, ": ", what, " ", excerpt(text), ": wanted a name of 1 to ", max_bytes, " bytes, got ", text.size());
    if (!is_utf8(text)) fail(where, ": ", what, " ", excerpt(text), ": wanted UTF-8, got other bytes");
    if (text.find('\0') != text.npos) fail(where, ": ", what, " ", excerpt(text), ": wanted text, got a NUL in it");
}
}  // namespace detail

/// Throws unless `key` is a metadata key: 1 to 65535 bytes of UTF-8 without NUL.
inline void require_key(std::string_view where, std::string_view key) {
    detail::require_text(where, "key", key, max_key_bytes);
}

/// Throws unless `name` is a tensor name: 1 to 63 bytes of UTF-8 without NUL.
inline void require_name(std::string_view where, std::string_view name) {
    detail::require_text(where, "tensor", name, max_name_bytes);
}

/// Throws unless the tensor has at most 4 dimensions.
inline void require_rank(std::string_view where, const tensor_info& info) {
    if (info.rank > max_rank)
        fail(where, ": tensor ", excerpt(info.name), ": wanted 0 to ", max_rank, " dimensions, got ", info.rank);
}

/// Throws unless the tensor has at most 4 dimensions, none of them 0, none beyond its rank, rows of whole blocks, and
/// counts that fit 63 bits.
inline void require_shape(std::string_view where, const tensor_info& info) {
    require_rank(where, info);
    for (std::uint32_t d = 0; d < max_rank; ++d)
        if (info.dims[d] == 0 || (d >= info.rank && info.dims[d] != 1))
            fail(where, ": tensor ", excerpt(info.name), ": dimension ", d, " of ", info.rank, ": wanted ",
                 d < info.rank ? "at least 1" : "1", ", got ", info.dims[d]);
    if (info.columns() % info.layout.block_size != 0)
        fail(where, ": tensor ", excerpt(info.name), ": wanted rows of a multiple of ", info.layout.block_size,
             " weights for ", info.layout.name, ", got ", info.columns());
    if (!has_sound_shape(info))
        fail(where, ": tensor ", excerpt(info.name), ": wanted fewer than 2^59 weights, got dimensions ", info.dims[0],
             " x ", info.dims[1], " x ", info.dims[2], " x ", info.dims[3]);
}

}  // namespace tessera::gguf
