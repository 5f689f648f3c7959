// A checksum that tells models apart, even of one architecture and vocabulary.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "tessera/core/checksum.hpp"
#include "tessera/core/tensor_info.hpp"
#include "tessera/core/type_id.hpp"
#include "tessera/gguf/serialize.hpp"
#include "tessera/tensor/concepts.hpp"

namespace tessera {

/// A checksum over metadata, names, shapes, stored types and the first row of every tensor. Models that differ in later
/// rows alone are taken for one.
template <tensor_source Source>
[[nodiscard]] std::uint64_t model_fingerprint(const Source& source) {
    checksum sum;
    const std::span<const tensor_info> tensors = source.tensors();
    gguf::put_metadata(sum, tensors.size(), source.metadata());
    std::vector<float> values;
    for (const tensor_info& info : tensors) {
        gguf::put_tensor(sum, info, 0);
        if (is_integer(info.type())) continue;  // tables that other models of the kind have, too
        values.resize(info.columns());
        source.read(info, 0, 1, values);
        sum.append(values.data(), values.size() * sizeof(float));
    }
    return sum.value();
}

}  // namespace tessera
