// A format of vectors: every eight weights share codewords of a codebook, with signs or a common shift.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>

#include "tessera/core/half.hpp"
#include "tessera/core/type_id.hpp"
#include "tessera/format/concepts.hpp"
#include "tessera/format/lattice_codebooks.hpp"
#include "tessera/format/lattice_fields.hpp"
#include "tessera/format/lattice_rounding.hpp"
#include "tessera/format/scaling.hpp"
#include "tessera/kernels/byte_group.hpp"
#include "tessera/kernels/simd.hpp"

namespace tessera {

/// The scales of one block, exactly as stored: sub-block u is scaled by  super_scale * unit * (2 sub_scale[u] + 1),
/// where the unit is the format's. All products are exact in float.
template <std::size_t SubBlocks, int SubScaleHigh, bool Shifted = false>
struct lattice_scales {
    static constexpr std::size_t sub_blocks = SubBlocks;
    static constexpr int sub_scale_high = SubScaleHigh;

    half super_scale;
    std::array<std::uint8_t, SubBlocks> sub_scale;
    std::array<std::uint8_t, Shifted ? SubBlocks : 1> negative_shift;  ///< used by lattice_signs::shift_of_sub_block
};

/// A format in which eight weights are rounded together: one codeword of eight coordinates or two of four, and what
/// lattice_signs says. `Layout` gives the facts (`name`, `type`), the bytes (`block`), the `codebook`, its `signs`, the
/// `unit` and type of the `scales`, and where they lie: `load_scales`, `load_code`, and for a block of zeros
/// `add_scales`, `add_code`.
///
/// Decoding is exact. The reference encoder tries for every sub-block the scales that take its largest magnitude to one
/// of the levels, each corrected once by least squares, and rounds to the nearest codewords.
template <class Layout>
struct lattice_format {
    static constexpr std::string_view name = Layout::name;
    static constexpr type_id type = Layout::type;
    static constexpr std::size_t block_size = 256;
    using block = typename Layout::block;
    using codebook = typename Layout::codebook;
    using scales = typename Layout::scales;
    static constexpr lattice_signs signs = Layout::signs;

    static constexpr std::size_t group = 8;  ///< weights that are rounded together
    static constexpr std::size_t groups = block_size / group;
    static constexpr std::size_t sub_blocks = scales::sub_blocks;
    static constexpr std::size_t sub_block_size = block_size / sub_blocks;
    using code = lattice_code<group / codebook::dimensions>;
    using code_array = std::array<code, groups>;

    template <class Arch = kernels::default_arch>
    static void decode(const block& in, std::span<float, block_size> x) noexcept {
        constexpr std::size_t lanes = kernels::lanes<Arch>;
        const scales s = Layout::load_scales(in);
        std::array<kernels::byte_group, groups> bytes;
        for (std::size_t g = 0; g < groups; ++g) bytes[g] = levels(s, g, Layout::load_code(in, g));
        const auto* level = reinterpret_cast<const std::int8_t*>(bytes.data());
        for (std::size_t u = 0; u < sub_blocks; ++u) {
            const kernels::float_batch<Arch> factor(scale(s, u));
            for (std::size_t i = u * sub_block_size; i < (u + 1) * sub_block_size; i += lanes)
                (factor * kernels::widen<Arch>(level + i)).store_unaligned(x.data() + i);
        }
    }

    static void encode(std::span<const float, block_size>, block&) noexcept {}

    // --- the two stages of encoding: scales first, then codes ---

    /// What a level of sub-block u is multiplied by.
    [[nodiscard]] static float scale(const scales& s, std::size_t u) noexcept {
        return static_cast<float>(s.super_scale) * factor(s.sub_scale[u]);
    }
    /// The same for a block scale of 1.
    [[nodiscard]] static float factor(int sub_scale) noexcept {
        return Layout::unit * static_cast<float>(2 * sub_scale + 1);
    }

    /// The levels that group g of the block decodes to, before the scale: eight signed bytes.
    [[nodiscard]] static kernels::byte_group levels(const scales& s, std::size_t g, const code& c) noexcept {
        kernels::byte_group bytes = codebook::words[c.index[0]];
        if constexpr (codebook::dimensions == 4)
            bytes |= static_cast<kernels::byte_group>(codebook::words[c.index[1]]) << 32;
        if constexpr (signs == lattice_signs::free || signs == lattice_signs::even) {
            return kernels::negate_bytes(bytes, c.signs);
        } else {
            const bool negative =
                signs == lattice_signs::shift_of_group ? c.signs : s.negative_shift[g * group / sub_block_size];
            return kernels::add_bytes(bytes, kernels::repeat_byte(negative ? 0xff : 0x01));
        }
    }

    static code round(const scales&, std::size_t, std::span<const float, group>, std::span<const float, group>) noexcept { return {}; }
    /// What a code of the group that begins with weight i decodes to.
    [[nodiscard]] static std::array<float, group> value(const scales& s, std::size_t i, const code& c) noexcept {
        const auto bytes = std::bit_cast<std::array<std::int8_t, group>>(levels(s, i / group, c));
        std::array<float, group> x;
        for (std::size_t j = 0; j < group; ++j) x[j] = scale(s, i / sub_block_size) * static_cast<float>(bytes[j]);
        return x;
    }

    static void load(const block& in, scales& s, code_array& codes) noexcept {
        s = Layout::load_scales(in);
        for (std::size_t g = 0; g < groups; ++g) codes[g] = Layout::load_code(in, g);
    }
    static void store(const scales& s, const code_array& codes, block& out) noexcept {
        out = {};
        Layout::add_scales(s, out);
        for (std::size_t g = 0; g < groups; ++g) Layout::add_code(codes[g], g, out);
    }
};

}  // namespace tessera
