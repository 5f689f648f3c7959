// Rounding some columns of many rows under scales that are fixed, with SIMD lanes across rows.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "tessera/encode/fitted_search.hpp"
#include "tessera/encode/lattice_search.hpp"
#include "tessera/encode/scale_search.hpp"
#include "tessera/format/concepts.hpp"
#include "tessera/kernels/rounding.hpp"
#include "tessera/kernels/simd.hpp"

namespace tessera {

/// A format that error_feedback can round: scales first, then codes, through one of the searches. Of a lattice's scales
/// those that its search has stored are loaded again.
template <class F>
concept rounds_in_columns =
    scaled_format<F> || fitted_format<F> ||
    (rounds_to_lattice<F> && requires(const typename F::block& in, typename F::scales& s,
                                      typename F::code_array& codes) { F::load(in, s, codes); });

/// Rounds `Rows` rows of whole blocks, F::group columns at a time and in any order of the groups.
///   start(columns)                           so many, at most as many as the constructor was given
///   scales(row, rows)                        to be set: those of all blocks of some rows, row by row
///   take_scales()                            when they are set
///   round(column, aims, importance, values)  aims and values: `Rows` floats for each column of the group
///   store(row, out)                          when all columns are rounded
template <class F, std::size_t Rows, class Arch = kernels::default_arch>
class column_rounding;

/// Weights that are rounded by themselves.
template <scaled_format F, std::size_t Rows, class Arch>
class column_rounding<F, Rows, Arch> {
    using batch = kernels::float_batch<Arch>;
    using codebook = typename F::codebook;
    static constexpr bool has_min = F::scaling::has_min;
    static constexpr std::size_t sub_blocks = F::scaling::sub_blocks;

public:
    explicit column_rounding(std::size_t columns)
        : blocks_(columns / F::block_size),
          scales_(Rows * blocks_),
          codes_(Rows * columns),
          scale_(columns / F::sub_block_size * Rows),
          inverse_(scale_.size()),
          min_(has_min ? scale_.size() : 0) {}

    void start(std::size_t columns) noexcept { blocks_ = columns / F::block_size; }
    [[nodiscard]] std::span<typename F::scales> scales(std::size_t row, std::size_t rows) noexcept {
        return std::span(scales_).subspan(row * blocks_, rows * blocks_);
    }

    void take_scales() noexcept {
        for (std::size_t row = 0; row < Rows; ++row)
            for (std::size_t block = 0; block < blocks_; ++block) {
                const typename F::scales& s = scales_[row * blocks_ + block];
                for (std::size_t g = 0; g < sub_blocks; ++g) {
                    const std::size_t place = (block * sub_blocks + g) * Rows + row;
                    scale_[place] = s.scale(g);
                    inverse_[place] = kernels::reciprocal_or_zero(s.scale(g));
                    if constexpr (has_min) min_[place] = s.min(g);
                }
            }
    }

    void round(std::size_t column, const float* aims, std::span<const float, 1>, float* values) noexcept {
        const std::size_t place = column / F::sub_block_size * Rows;
        for (std::size_t i = 0; i < Rows; i += kernels::lanes<Arch>) {
            const batch aim = batch::load_aligned(aims + i);
            const batch scale = batch::load_unaligned(scale_.data() + place + i);
            const batch inverse = batch::load_unaligned(inverse_.data() + place + i);
            batch min(0.0f);
            if constexpr (has_min) min = batch::load_unaligned(min_.data() + place + i);
            const batch scaled = (has_min ? aim + min : aim) * inverse;
            kernels::narrow<Arch>(codebook::codes(scaled), codes_.data() + column * Rows + i);
            batch value = scale * codebook::nearest(scaled);
            if constexpr (has_min) value = value - min;
            value.store_aligned(values + i);
        }
    }

    void store(std::size_t row, std::span<typename F::block> out) const noexcept {
        typename F::code_array codes;
        for (std::size_t b = 0; b < blocks_; ++b) {
            for (std::size_t i = 0; i < F::block_size; ++i) codes[i] = codes_[(b * F::block_size + i) * Rows + row];
            F::store(scales_[row * blocks_ + b], codes, out[b]);
        }
    }

private:
    std::size_t blocks_;
    std::vector<typename F::scales> scales_;    // rows x blocks
    std::vector<std::uint8_t> codes_;           // columns x rows
    std::vector<float> scale_, inverse_, min_;  // sub-blocks x rows
};

/// Weights that share codewords: the nearest code by importance.
template <rounds_to_lattice F, std::size_t Rows, class Arch>
class column_rounding<F, Rows, Arch> {
public:
    explicit column_rounding(std::size_t columns)
        : blocks_(columns / F::block_size), scales_(Rows * blocks_), codes_(Rows * columns / F::group) {}

    void start(std::size_t columns) noexcept { blocks_ = columns / F::block_size; }
    [[nodiscard]] std::span<typename F::scales> scales(std::size_t row, std::size_t rows) noexcept {
        return std::span(scales_).subspan(row * blocks_, rows * blocks_);
    }

    void take_scales() noexcept {}

    void round(std::size_t column, const float* aims, std::span<const float, F::group> importance,
               float* values) noexcept {
        const std::size_t block = column / F::block_size, first = column % F::block_size;
        const std::size_t sub_block = first / F::sub_block_size;
        std::array<float, F::group> x;
        for (std::size_t r = 0; r < Rows; ++r) {
            const typename F::scales& s = scales_[r * blocks_ + block];
            factors_.scale[r] = F::scale(s, sub_block);
            factors_.shift[r] = static_cast<float>(F::shift(s, sub_block));
            for (std::size_t j = 0; j < F::group; ++j) x[j] = bounded_weight(aims[j * Rows + r]);
            find_.load(r, x.data(), importance.data());
        }
        find_.round(factors_, found_);
        for (std::size_t r = 0; r < Rows; ++r) {
            const std::array<float, F::group> value = F::value(scales_[r * blocks_ + block], first, found_[r]);
            for (std::size_t j = 0; j < F::group; ++j) values[j * Rows + r] = value[j];
        }
        std::ranges::copy(found_, codes_.begin() + static_cast<std::ptrdiff_t>(column / F::group * Rows));
    }

    void store(std::size_t row, std::span<typename F::block> out) const noexcept {
        typename F::code_array codes;
        for (std::size_t b = 0; b < blocks_; ++b) {
            for (std::size_t g = 0; g < F::groups; ++g) codes[g] = codes_[(b * F::groups + g) * Rows + row];
            F::store(scales_[row * blocks_ + b], codes, out[b]);
        }
    }

private:
    std::size_t blocks_;
    std::vector<typename F::scales> scales_;  // rows x blocks
    std::vector<typename F::code> codes_;     // groups x rows
    typename F::template rounder<Rows, Arch> find_;
    lattice_factors<Rows> factors_;
    std::array<typename F::code, Rows> found_;
};

/// Formats of one's own, a group of a row at a time.
template <fitted_format F, std::size_t Rows, class Arch>
class column_rounding<F, Rows, Arch> {
public:
    explicit column_rounding(std::size_t columns)
        : blocks_(columns / F::block_size), scales_(Rows * blocks_, of_zeros()), codes_(Rows * blocks_) {}

    void start(std::size_t columns) noexcept { blocks_ = columns / F::block_size; }
    [[nodiscard]] std::span<typename F::scales> scales(std::size_t row, std::size_t rows) noexcept {
        return std::span(scales_).subspan(row * blocks_, rows * blocks_);
    }

    void take_scales() noexcept {}

    void round(std::size_t column, const float* aims, std::span<const float, F::group> importance, float* values) {
        const std::size_t block = column / F::block_size, first = column % F::block_size;
        for (std::size_t r = 0; r < Rows; ++r) {
            const typename F::scales& s = scales_[r * blocks_ + block];
            auto& code = codes_[r * blocks_ + block][first / F::group];
            if constexpr (F::group == 1) {
                code = F::round(s, first, aims[r]);
                values[r] = F::value(s, first, code);
            } else {
                std::array<float, F::group> x;
                for (std::size_t j = 0; j < F::group; ++j) x[j] = aims[j * Rows + r];
                code = F::round(s, first, x, importance);
                const std::array<float, F::group> value = F::value(s, first, code);
                for (std::size_t j = 0; j < F::group; ++j) values[j * Rows + r] = value[j];
            }
        }
    }

    void store(std::size_t row, std::span<typename F::block> out) const noexcept {
        for (std::size_t b = 0; b < blocks_; ++b)
            F::store(scales_[row * blocks_ + b], codes_[row * blocks_ + b], out[b]);
    }

private:
    // For rows that are not there.
    [[nodiscard]] static typename F::scales of_zeros() {
        std::array<float, F::block_size> zeros{}, even;
        even.fill(1.0f);
        return F::fit(zeros, even);
    }

    std::size_t blocks_;
    std::vector<typename F::scales> scales_;     // rows x blocks
    std::vector<typename F::code_array> codes_;  // rows x blocks
};

}  // namespace tessera
