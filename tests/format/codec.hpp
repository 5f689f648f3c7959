// Any format of the registry, met at run time: rows to bytes and back. One instantiation per format and encoder,
// however many tests there are.
#pragma once

#include <cmath>
#include <cstddef>
#include <span>
#include <vector>

#include <doctest/doctest.h>

#include "tessera/core/view.hpp"
#include "tessera/encode/knowledge.hpp"
#include "tessera/format.hpp"

namespace codec {

/// Every format there is.
using formats = tessera::stored_formats;

/// Calls check(layout) for every format, with the name in messages.
template <class Check>
void for_each_format(Check check) {
    for (const tessera::type_layout& format : formats::layouts) {
        CAPTURE(format.name);
        check(format);
    }
}

/// The same for formats that quantize: more than one weight a block.
template <class Check>
void for_each_quantizing_format(Check check) {
    for_each_format([&](const tessera::type_layout& format) {
        if (format.block_size > 1) check(format);
    });
}

inline double bits_per_weight(const tessera::type_layout& format) {
    return 8.0 * format.block_bytes / format.block_size;
}

/// The blocks that an encoder, e(format_tag<F>, row, importance, blocks), makes of a row.
template <class Encoder>
std::vector<std::byte> encode(const tessera::type_layout& format, const Encoder& encoder, std::span<const float> row,
                              std::span<const float> importance = {}) {
    const std::size_t count = row.size() / format.block_size;
    // What was there before must not matter, so start from something odd.
    std::vector<std::byte> bytes(count * format.block_bytes, std::byte{0xa5});
    formats::dispatch(format.id, [&]<class F>(tessera::format_tag<F> tag) {
        using block = typename F::block;
        encoder(tag, tessera::matrix_view(row, row.size()), tessera::matrix_knowledge{.importance = importance},
                std::span<block>(reinterpret_cast<block*>(bytes.data()), count));
    });
    return bytes;
}

inline std::vector<float> decode(const tessera::type_layout& format, std::span<const std::byte> bytes) {
    std::vector<float> x(bytes.size() / format.block_bytes * format.block_size);
    formats::decode(format.id, bytes, x);
    return x;
}

template <class Encoder>
std::vector<float> encode_decode(const tessera::type_layout& format, const Encoder& encoder, std::span<const float> row,
                                 std::span<const float> importance = {}) {
    return decode(format, encode(format, encoder, row, importance));
}

/// Sum of importance * (a - b)^2; no importance means 1 everywhere.
inline double squared_error(std::span<const float> a, std::span<const float> b,
                            std::span<const float> importance = {}) {
    double sum = 0;
    for (std::size_t i = 0; i < a.size(); ++i)
        sum += (importance.empty() ? 1.0 : double{importance[i]}) * std::pow(double{a[i]} - double{b[i]}, 2);
    return sum;
}

/// Sum of importance * x^2.
inline double energy(std::span<const float> x, std::span<const float> importance = {}) {
    return squared_error(x, std::vector<float>(x.size()), importance);
}

}  // namespace codec
