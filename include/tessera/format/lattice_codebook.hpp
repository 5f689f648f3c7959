// A codebook of vectors: a chosen few of the points of a grid, kept as a bitmap and expanded when compiling.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace tessera {

namespace detail {

template <std::size_t Words>
[[nodiscard]] constexpr bool has_point(const std::array<std::uint64_t, Words>& points, std::size_t n) noexcept {
    return (points[n / 64] >> (n % 64)) & 1u;
}

/// The codewords, in buckets by their upper half: what a search walks through.
template <std::size_t Halves, std::size_t Entries>
struct lattice_buckets {
    std::size_t count = 0;                          ///< buckets
    std::array<std::uint8_t, Halves> high{};        ///< the upper half that the codewords of a bucket share
    std::array<std::uint16_t, Halves + 1> start{};  ///< where a bucket begins in `low`
    std::array<std::uint8_t, Entries> low{};        ///< the codewords' lower halves; room is left at the end
};

}  // namespace detail

/// A set of vectors with `Dimensions` coordinates, each one of the `Levels` in ascending order.
///
/// The digits of a point's number, in the base of the count of levels, are its coordinates: the last coordinate is the
/// most significant digit. `Points` is a bitmap over all points; codewords are numbered in ascending order of points.
template <const auto& Points, std::size_t Dimensions, std::int8_t... Levels>
struct lattice_codebook {
    static_assert(Dimensions == 4 || Dimensions == 8);
    static constexpr std::size_t dimensions = Dimensions;
    static constexpr std::array<std::int8_t, sizeof...(Levels)> levels{Levels...};

    /// Points of a quarter of the coordinates, of half of them, of all.
    static constexpr std::size_t quarter_points = Dimensions == 8 ? levels.size() * levels.size() : levels.size();
    static constexpr std::size_t half_points = quarter_points * quarter_points;
    static_assert(half_points <= 128 && Points.size() == (half_points * half_points + 63) / 64);

    /// Codewords before each word of the bitmap; the last entry counts them all.
    static constexpr std::array<std::uint16_t, Points.size() + 1> rank = [] {
        std::array<std::uint16_t, Points.size() + 1> before{};
        for (std::size_t i = 0; i < Points.size(); ++i)
            before[i + 1] = static_cast<std::uint16_t>(before[i] + std::popcount(Points[i]));
        return before;
    }();
    static constexpr std::size_t size = rank.back();  ///< codewords

    /// The number of the codeword at a point, which must be one.
    [[nodiscard]] static constexpr std::uint16_t index(std::size_t point) noexcept {
        const std::uint64_t below = Points[point / 64] & ((std::uint64_t{1} << (point % 64)) - 1);
        return static_cast<std::uint16_t>(rank[point / 64] + std::popcount(below));
    }

    /// A codeword: its coordinates as bytes, the first in the lowest bits. (Tables have their types written out: what
    /// is `auto` would be computed wherever the header is included, not only where it is used.)
    using word = std::conditional_t<Dimensions == 8, std::uint64_t, std::uint32_t>;
    static constexpr std::array<word, size> words = [] {
        std::array<word, size> all{};
        std::size_t next = 0;
        for (std::size_t point = 0; next < size; ++point)
            if (detail::has_point(Points, point)) {
                std::size_t digits = point;
                for (unsigned j = 0; j < Dimensions; ++j, digits /= levels.size())
                    all[next] |= static_cast<word>(static_cast<std::uint8_t>(levels[digits % levels.size()]))
                                 << (8 * j);
                ++next;
            }
        return all;
    }();

    /// How many codewords have each of the possible upper halves.
    static constexpr std::array<std::size_t, half_points> bucket_sizes = [] {
        std::array<std::size_t, half_points> n{};
        for (std::size_t point = 0; point < half_points * half_points; ++point)
            n[point / half_points] += detail::has_point(Points, point) ? 1 : 0;
        return n;
    }();

    /// Buckets of codewords with the same upper half, the small buckets first: a loop over a bucket's entries then
    /// seldom changes its length, which processors predict. A bucket holds an even number of entries, so that a search
    /// can take two at a time: where there is an odd one out it comes twice.
    using bucket_list = detail::lattice_buckets<half_points, size + half_points>;
    static constexpr bucket_list buckets = [] {
        bucket_list all;
        std::size_t next = 0;
        for (std::size_t pairs = 1; pairs <= (half_points + 1) / 2; ++pairs)
            for (std::size_t high = 0; high < half_points; ++high) {
                if ((bucket_sizes[high] + 1) / 2 != pairs) continue;
                for (std::size_t low = 0; low < half_points; ++low)
                    if (detail::has_point(Points, high * half_points + low))
                        all.low[next++] = static_cast<std::uint8_t>(low);
                if (bucket_sizes[high] % 2 == 1) {
                    all.low[next] = all.low[next - 1];
                    ++next;
                }
                all.high[all.count++] = static_cast<std::uint8_t>(high);
                all.start[all.count] = static_cast<std::uint16_t>(next);
            }
        return all;
    }();
};

}  // namespace tessera
