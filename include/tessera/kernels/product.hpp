// Products of float matrices whose rows have been packed into panels: out += X W'.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <memory>
#include <new>
#include <utility>

#include "tessera/kernels/simd.hpp"

namespace tessera::kernels {

/// Rows of equal length, packed for products: in panels of `Width` rows, of which the first numbers lie next to each
/// other, then the second ones, and so on. The last panel is filled up with rows of zeros.
template <std::size_t Width>
class packed_rows {
public:
    static constexpr std::size_t width = Width;

    /// Room for `rows` rows of `depth` numbers.
    packed_rows(std::size_t rows, std::size_t depth)
        : depth_(depth), values_(new(alignment) float[(rows + Width - 1) / Width * Width * depth]) {}

    [[nodiscard]] std::size_t depth() const noexcept { return depth_; }

    /// The panel that begins with `row`, a multiple of Width.
    [[nodiscard]] const float* panel(std::size_t row) const noexcept { return values_.get() + row * depth_; }

    /// The same, to write numbers of its rows where they belong: number k of row r at k * Width + r.
    [[nodiscard]] float* panel(std::size_t row) noexcept { return values_.get() + row * depth_; }

    /// Packs `count` rows, `stride` numbers from one to the next, as rows first .. first + count. `first` is a multiple
    /// of Width, and so is `count` unless these are the last rows. Threads may pack different rows.
    void pack(std::size_t first, const float* rows, std::size_t stride, std::size_t count) noexcept {
        constexpr std::size_t strip = 16;  // as many numbers of a row as lie in one line of the cache
        for (std::size_t r = 0; r < count; r += Width) {
            float* const panel = values_.get() + (first + r) * depth_;
            const std::size_t present = std::min(Width, count - r);
            if (present < Width) std::fill(panel, panel + Width * depth_, 0.0f);
            for (std::size_t k = 0; k < depth_; k += strip)
                for (std::size_t lane = 0; lane < present; ++lane) {
                    const float* const row = rows + (r + lane) * stride;
                    for (std::size_t i = k; i < std::min(k + strip, depth_); ++i) panel[i * Width + lane] = row[i];
                }
        }
    }

    /// The same of rows that lie in columns: number k of row first + r is values[k * stride + r].
    void pack_columns(std::size_t first, const float* values, std::size_t stride, std::size_t count) noexcept {
        for (std::size_t k = 0; k < depth_; ++k, values += stride)
            for (std::size_t r = 0; r < count; r += Width) {
                float* const to = panel(first + r) + k * Width;
                const std::size_t present = std::min(Width, count - r);
                for (std::size_t lane = 0; lane < present; ++lane) to[lane] = values[r + lane];
                std::fill(to + present, to + Width, 0.0f);
            }
    }

    /// Multiplies `count` rows from `first` on, which are as pack()'s.
    void scale(std::size_t first, std::size_t count, float factor) noexcept {
        float* const end = panel(first) + (count + Width - 1) / Width * Width * depth_;
        for (float* value = panel(first); value != end; ++value) *value *= factor;
    }

private:
    static constexpr std::align_val_t alignment{64};  // a line of the cache, and what the largest registers want
    struct release {
        void operator()(float* values) const noexcept { ::operator delete[](values, alignment); }
    };

    std::size_t depth_;
    std::unique_ptr<float[], release> values_;
};

/// How X is packed: a panel's sums, with two registers of W in each row, fill most registers of the machine.
template <class Arch = default_arch>
using packed_left = packed_rows<registers<Arch> == 32 ? 14 : 6>;

/// How W is packed.
template <class Arch = default_arch>
using packed_right = packed_rows<2 * lanes<Arch>>;

namespace detail {

// out += X W' for one panel of each. The sums stay in registers. Beside every term `soon` is fetched and moves on.
template <class Arch, std::size_t... Row>
[[gnu::flatten]] inline void add_panel_product(const float* x, const float* w, std::size_t depth, const float* soon,
                                               std::size_t step, float* out, std::size_t stride,
                                               std::index_sequence<Row...>) noexcept {
    using batch = float_batch<Arch>;
    std::array<std::array<batch, 2>, sizeof...(Row)> sums;
    ((sums[Row] = {batch(0.0f), batch(0.0f)}), ...);
    for (std::size_t k = 0; k < depth; ++k, x += sizeof...(Row), w += 2 * lanes<Arch>, soon += step) {
        prefetch(soon);
        const batch left = batch::load_aligned(w), right = batch::load_aligned(w + lanes<Arch>);
        const auto add_term = [&](float factor, std::array<batch, 2>& sum) {
            sum[0] = xsimd::fma(batch(factor), left, sum[0]);
            sum[1] = xsimd::fma(batch(factor), right, sum[1]);
        };
        (add_term(x[Row], sums[Row]), ...);
    }
    const auto add_row = [](float* to, const std::array<batch, 2>& sum) {
        (batch::load_unaligned(to) + sum[0]).store_unaligned(to);
        (batch::load_unaligned(to + lanes<Arch>) + sum[1]).store_unaligned(to + lanes<Arch>);
    };
    (add_row(out + Row * stride, sums[Row]), ...);
}

}  // namespace detail

/// out[r][c] += the dot product of row first_row + r of X and row first + c of W, for r < rows and c < columns. Both
/// first ones are multiples of the panels' width; rows of `out` are `stride` numbers apart. Each dot product is summed
/// in order, 256 terms at a time: its bits depend neither on the other rows nor, with fused multiply-add, on the
/// registers' width.
template <class Arch = default_arch>
void add_product(const packed_left<Arch>& x, std::size_t first_row, std::size_t rows, const packed_right<Arch>& w,
                 std::size_t first, std::size_t columns, float* out, std::size_t stride) noexcept {
    constexpr std::size_t height = packed_left<Arch>::width, width = packed_right<Arch>::width;
    constexpr std::size_t part = 256;  // terms; so much of a panel of W stays in the first-level cache
    constexpr auto panel_rows = std::make_index_sequence<height>{};
    // While a panel of W is in use the next one is fetched, by each panel of X its share; beside the last panel of W
    // each panel of X fetches its own next part. Both come from afar.
    const std::size_t panels = (rows + height - 1) / height;
    const std::size_t share = (width + panels - 1) / panels;
    for (std::size_t k = 0; k < x.depth(); k += part) {
        const std::size_t depth = std::min(part, x.depth() - k);
        for (std::size_t c = 0; c < columns; c += width) {
            const float* const right = w.panel(first + c) + k * width;
            const bool is_last = c + width >= columns;
            for (std::size_t r = 0; r < rows; r += height) {
                const float* const left = x.panel(first_row + r) + k * height;
                const float* const soon =
                    is_last ? left + depth * height : right + x.depth() * width + r / height * share * depth;
                const std::size_t step = is_last ? height : share;
                float* const to = out + r * stride + c;
                const std::size_t tall = std::min(height, rows - r), wide = std::min(width, columns - c);
                if (tall == height && wide == width) {
                    detail::add_panel_product<Arch>(left, right, depth, soon, step, to, stride, panel_rows);
                    continue;
                }
                std::array<float, height * width> whole{};
                detail::add_panel_product<Arch>(left, right, depth, soon, step, whole.data(), width, panel_rows);
                for (std::size_t i = 0; i < tall; ++i)
                    for (std::size_t j = 0; j < wide; ++j) to[i * stride + j] += whole[i * width + j];
            }
        }
    }
}

}  // namespace tessera::kernels
