// Products of large matrices on several threads: both sides are packed once, and all tiles use them.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>

#include "tessera/core/parallel.hpp"
#include "tessera/kernels/product.hpp"

namespace tessera::detail {

/// Vectors of equal length in a matrix: its rows, or its columns. `stride` numbers lie from a row of the matrix to the
/// next.
struct vectors {
    const float* values;
    std::size_t stride, count;
    enum class kind { rows, columns } are;
};

enum class product_part { whole, lower_half };

/// Numbers of every vector that are in memory at a time while a product is computed.
inline constexpr std::size_t product_depth = 1024;

// Numbers first .. first + depth of vectors, times a factor, packed.
template <class Packed>
[[nodiscard]] Packed packed(const vectors& from, std::size_t first, std::size_t depth, float factor, int threads) {
    constexpr std::size_t at_once = 7 * Packed::width;
    Packed result(from.count, depth);
    parallel_for((from.count + at_once - 1) / at_once, threads, [&](std::size_t i) {
        const std::size_t v = i * at_once, count = std::min(at_once, from.count - v);
        if (from.are == vectors::kind::rows)
            result.pack(v, from.values + v * from.stride + first, from.stride, count);
        else
            result.pack_columns(v, from.values + first * from.stride + v, from.stride, count);
        if (factor != 1.0f) result.scale(v, count, factor);
    });
    return result;
}

/// out(r, c) += factor times the dot product of vector r of `left` and vector c of `right`, of `depth` numbers each;
/// rows of `out` are `out_stride` numbers apart. Of the lower half those with c <= r, and nothing else is touched.
/// Dot products are summed as kernels::add_product does, so they do not depend on the number of threads. Takes
/// memory for product_depth numbers of every vector.
template <class = void>
void add_product(const vectors& left, const vectors& right, std::size_t depth, float factor, product_part part,
                 float* out, std::size_t out_stride, int threads) {
    constexpr std::size_t height = 126, width = 256;
    using packed_left = kernels::packed_left<>;
    using packed_right = kernels::packed_right<>;
    static_assert(height % packed_left::width == 0 && width % packed_right::width == 0);
    const std::size_t down = (left.count + height - 1) / height, across = (right.count + width - 1) / width;
    for (std::size_t first = 0; first < depth; first += product_depth) {
        const std::size_t some = std::min(product_depth, depth - first);
        const auto x = packed<packed_left>(left, first, some, factor, threads);
        const auto y = packed<packed_right>(right, first, some, 1.0f, threads);
        parallel_for(down * across, threads, [&](std::size_t i) {
            const std::size_t r = i / across * height, rows = std::min(height, left.count - r);
            const std::size_t c = i % across * width, columns = std::min(width, right.count - c);
            float* const to = out + r * out_stride + c;
            const bool is_whole = part == product_part::whole || c + columns <= r + 1;
            if (is_whole) return kernels::add_product<>(x, r, rows, y, c, columns, to, out_stride);
            if (c >= r + rows) return;
            std::array<float, height * width> tile{};  // on the diagonal
            kernels::add_product<>(x, r, rows, y, c, columns, tile.data(), width);
            for (std::size_t a = 0; a < rows; ++a)
                for (std::size_t b = 0; b < columns && c + b <= r + a; ++b)
                    to[a * out_stride + b] += tile[a * width + b];
        });
    }
}

}  // namespace tessera::detail
