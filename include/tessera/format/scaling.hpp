// How a block stores its scales (and minimums), and what they are as floats.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "tessera/core/half.hpp"
#include "tessera/format/planes.hpp"
#include "tessera/kernels/rounding.hpp"

namespace tessera {

/// The scales of one block, exactly as stored: a weight in sub-block g is  scale(g) * level - min(g).
/// scale(g) is the block's scale times an integer sub-scale; formats without sub-scales have one sub-block and the
/// integer 1. All products are exact in float.
template <std::size_t SubBlocks, bool HasMin>
struct block_scales {
    half super_scale;
    half super_min;
    std::array<std::int8_t, SubBlocks> sub_scale;
    std::array<std::uint8_t, HasMin ? SubBlocks : 1> sub_min;

    [[nodiscard]] float scale(std::size_t g) const noexcept {
        return static_cast<float>(super_scale) * static_cast<float>(sub_scale[g]);
    }
    [[nodiscard]] float min(std::size_t g) const noexcept {
        if constexpr (HasMin) return static_cast<float>(super_min) * static_cast<float>(sub_min[g]);
        return 0.0f;
    }
};

/// The nearest half that is finite: a scale beyond its range is cut, never infinite.
[[nodiscard]] inline half finite_half(float x) noexcept { return half(kernels::clamp(x, -65504.0f, 65504.0f)); }

/// One half for the whole block.
template <auto Scale>
struct half_scale {
    static constexpr std::size_t sub_blocks = 1;
    static constexpr bool has_min = false;
    static constexpr int sub_scale_low = 1;
    static constexpr int sub_scale_high = 1;
    using scales = block_scales<1, false>;

    template <class Block>
    [[nodiscard]] static scales load(const Block& in) noexcept {
        return {in.*Scale, half(0.0f), {1}, {0}};
    }
    template <class Block>
    static void store(const scales& s, Block& out) noexcept {
        out.*Scale = s.super_scale;
    }
};

/// A half for the block, times a signed byte per sub-block.
template <auto Scale, auto SubScales>
struct half_and_byte_scales {
    static constexpr std::size_t sub_blocks = std::tuple_size_v<detail::field_of<SubScales>>;
    static constexpr bool has_min = false;
    static constexpr int sub_scale_low = -128;
    static constexpr int sub_scale_high = 127;
    using scales = block_scales<sub_blocks, false>;

    template <class Block>
    [[nodiscard]] static scales load(const Block& in) noexcept {
        return {in.*Scale, half(0.0f), in.*SubScales, {0}};
    }
    template <class Block>
    static void store(const scales& s, Block& out) noexcept {
        out.*Scale = s.super_scale;
        out.*SubScales = s.sub_scale;
    }
};

/// Halves for scales and minimums of the block, times eight 6-bit sub-scales and eight 6-bit sub-minimums in 12 bytes:
/// the first four of each in the low 6 bits of bytes 0-3 and 4-7; of the last four, the low nibbles in bytes 8-11
/// (scale low, minimum high) and the upper two bits in the top of bytes 0-3 and 4-7.
template <auto Scale, auto Min, auto Packed>
struct half_and_6bit_pairs {
    static constexpr std::size_t sub_blocks = 8;
    static constexpr bool has_min = true;
    static constexpr int sub_scale_low = 0;
    static constexpr int sub_scale_high = 63;
    static constexpr int sub_min_high = 63;
    using scales = block_scales<8, true>;

    template <class Block>
    [[nodiscard]] static scales load(const Block& in) noexcept {
        scales s{in.*Scale, in.*Min, {}, {}};
        const auto& bytes = in.*Packed;
        for (std::size_t j = 0; j < 4; ++j) {
            s.sub_scale[j] = static_cast<std::int8_t>(bytes[j] & 63);
            s.sub_min[j] = static_cast<std::uint8_t>(bytes[j + 4] & 63);
            s.sub_scale[j + 4] = static_cast<std::int8_t>((bytes[j + 8] & 15) | ((bytes[j] >> 6) << 4));
            s.sub_min[j + 4] = static_cast<std::uint8_t>((bytes[j + 8] >> 4) | ((bytes[j + 4] >> 6) << 4));
        }
        return s;
    }
    template <class Block>
    static void store(const scales& s, Block& out) noexcept {
        out.*Scale = s.super_scale;
        out.*Min = s.super_min;
        auto& bytes = out.*Packed;
        for (std::size_t j = 0; j < 4; ++j) {
            const auto high_scale = static_cast<unsigned>(s.sub_scale[j + 4]);
            const unsigned high_min = s.sub_min[j + 4];
            bytes[j] = static_cast<std::uint8_t>(static_cast<unsigned>(s.sub_scale[j]) | ((high_scale >> 4) << 6));
            bytes[j + 4] = static_cast<std::uint8_t>(s.sub_min[j] | ((high_min >> 4) << 6));
            bytes[j + 8] = static_cast<std::uint8_t>((high_scale & 15) | ((high_min & 15) << 4));
        }
    }
};

}  // namespace tessera
