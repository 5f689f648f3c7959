// Where weights come from and where bytes go.
#pragma once

#include <concepts>
#include <cstdint>
#include <span>

#include "tessera/core/bytes.hpp"
#include "tessera/core/metadata.hpp"
#include "tessera/core/tensor_info.hpp"

namespace tessera {

/// A model's tensors by GGUF name, with its metadata. `read(info, first_row, rows, out)` decodes `rows` rows of a
/// tensor from `tensors()` into `out` (rows * columns floats); it may be called from several threads.
template <class S>
concept tensor_source = requires(const S& source, const tensor_info& info, std::uint64_t row, std::span<float> out) {
    { source.tensors() } -> std::convertible_to<std::span<const tensor_info>>;
    { source.metadata() } -> std::convertible_to<const metadata&>;
    source.read(info, row, row, out);
};

/// A source that also hands out rows as they are stored, in the type that `info` names. The view lives as long as the
/// source; an empty one means that these bytes exist only after a transform. A source may then still make them: its
/// `repacked(info, first_row, rows)` returns the bytes, or none where it would have to encode.
template <class S>
concept packed_tensor_source =
    tensor_source<S> && requires(const S& source, const tensor_info& info, std::uint64_t row) {
        { source.packed(info, row, row) } -> std::convertible_to<byte_view>;
    };

/// Takes a model apart tensor by tensor: `begin` once with everything that will come, then
/// `write(info, first_row, bytes)` with whole rows, in any order and from any thread, each row once; then `finish`.
template <class S>
concept tensor_sink = requires(S& sink, std::span<const tensor_info> infos, const metadata& properties,
                               const tensor_info& info, std::uint64_t first_row, byte_view bytes) {
    sink.begin(infos, properties);
    sink.write(info, first_row, bytes);
    sink.finish();
};

}  // namespace tessera
