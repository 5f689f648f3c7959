// From stored rows to floats.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "tessera/core/bytes.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/tensor_info.hpp"
#include "tessera/format/builtin.hpp"

namespace tessera {

/// Decodes `rows` rows of `info`, stored in `bytes`, into `out`. Throws when `out` is not rows * columns floats or
/// `Formats` has no format for the tensor's type. Precondition: `bytes` is rows * row_bytes long.
template <class Formats = stored_formats>
void decode_rows(const tensor_info& info, std::uint64_t rows, byte_view bytes, std::span<float> out,
                 std::string_view where) {
    if (out.size() != rows * info.columns())
        fail(where, ": tensor ", info.name, ": wanted room for ", rows, " x ", info.columns(), " floats, got ",
             out.size());
    if (Formats::find(info.type()) == nullptr)
        fail(where, ": tensor ", info.name, ": wanted a type of ", Formats::names(), ", got ", info.layout.name);
    Formats::decode(info.type(), bytes, out);
}

#ifdef TESSERA_COMPILED  // see compiled/
extern template void decode_rows<stored_formats>(const tensor_info&, std::uint64_t, byte_view, std::span<float>,
                                                 std::string_view);
#endif

}  // namespace tessera
