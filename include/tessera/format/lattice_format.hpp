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
    template <std::size_t Groups, class Arch = kernels::default_arch>
    using rounder = lattice_rounder<codebook, signs, Groups, Arch>;

    template <class Arch = kernels::default_arch>
    static void decode(const block& in, std::span<float, block_size> x) noexcept {
        constexpr std::size_t lanes = kernels::lanes<Arch>;
        const scales s = Layout::load_scales(in);
        std::array<kernels::byte_group, groups> bytes;
        for (std::size_t g = 0; g < groups; ++g) bytes[g] = levels(Layout::load_code(in, g), shift(s, g * group / sub_block_size) < 0.0f);
        const auto* level = reinterpret_cast<const std::int8_t*>(bytes.data());
        for (std::size_t u = 0; u < sub_blocks; ++u) {
            const kernels::float_batch<Arch> factor(scale(s, u));
            for (std::size_t i = u * sub_block_size; i < (u + 1) * sub_block_size; i += lanes)
                (factor * kernels::widen<Arch>(level + i)).store_unaligned(x.data() + i);
        }
    }

    static void encode(std::span<const float, block_size> x, block& out) noexcept {
        std::array<float, block_size> bounded, even;
        std::transform(x.begin(), x.end(), bounded.begin(), bounded_weight);
        even.fill(1.0f);
        rounder<groups> find;
        for (std::size_t g = 0; g < groups; ++g) find.load(g, bounded.data() + g * group, even.data());

        alignas(64) std::array<float, groups> scale_of_group, shift_of_group, cost;
        std::array<float, sub_blocks> best_scale{}, best_gain{};
        code_array codes;
        scales s{};
        for (const int shift : shifts)
            for (const int level : codebook::levels) {
                for (std::size_t g = 0; g < groups; ++g) {
                    const auto* sub = bounded.data() + g * group / sub_block_size * sub_block_size;
                    const float extreme = std::fabs(*std::max_element(
                        sub, sub + sub_block_size, [](float a, float b) { return std::fabs(a) < std::fabs(b); }));
                    scale_of_group[g] = extreme / static_cast<float>(std::abs(level + shift));
                    shift_of_group[g] = static_cast<float>(shift);
                }
                find.round(scale_of_group, shift_of_group, cost, codes);
                for (std::size_t u = 0; u < sub_blocks; ++u) {
                    float xc = 0.0f, cc = 0.0f;
                    for (std::size_t i = u * sub_block_size; i < (u + 1) * sub_block_size; i += group) {
                        const auto level_bytes = std::bit_cast<std::array<std::int8_t, group>>(levels(codes[i / group], shift < 0));
                        for (std::size_t j = 0; j < group; ++j) {
                            xc += bounded[i + j] * static_cast<float>(level_bytes[j]);
                            cc += static_cast<float>(level_bytes[j] * level_bytes[j]);
                        }
                    }
                    // With the best scale for these codes the error is sum x^2 less this gain.
                    const float gain = xc > 0.0f ? xc * xc / cc : 0.0f;
                    if (!(gain > best_gain[u])) continue;
                    best_gain[u] = gain;
                    best_scale[u] = xc / cc;
                    if constexpr (signs == lattice_signs::shift_of_sub_block) s.negative_shift[u] = shift < 0;
                }
            }
        const float largest = *std::max_element(best_scale.begin(), best_scale.end());
        s.super_scale = finite_scale<half>(largest / factor(scales::sub_scale_high));
        for (std::size_t u = 0; u < sub_blocks; ++u)
            s.sub_scale[u] = nearest_sub_scale(best_scale[u], static_cast<float>(s.super_scale));
        for (std::size_t g = 0; g < groups; ++g) {
            scale_of_group[g] = scale(s, g * group / sub_block_size);
            shift_of_group[g] = shift(s, g * group / sub_block_size);
        }
        find.round(scale_of_group, shift_of_group, cost, codes);
        store(s, codes, out);
    }

    // --- the two stages of encoding: scales first, then codes ---

    /// What a level of sub-block u is multiplied by.
    [[nodiscard]] static float scale(const scales& s, std::size_t u) noexcept {
        return static_cast<float>(s.super_scale) * factor(s.sub_scale[u]);
    }
    /// The same for a block scale of 1.
    [[nodiscard]] static float factor(int sub_scale) noexcept {
        return Layout::unit * static_cast<float>(2 * sub_scale + 1);
    }

    /// The sub-scale whose product with a block scale is nearest to a wanted scale.
    [[nodiscard]] static std::uint8_t nearest_sub_scale(float wanted, float super_scale) noexcept {
        const float odd = wanted * kernels::reciprocal_or_zero(super_scale * Layout::unit);
        return static_cast<std::uint8_t>(kernels::round_to_even(
            kernels::clamp((odd - 1.0f) * 0.5f, 0.0f, static_cast<float>(scales::sub_scale_high))));
    }

    /// The shifts that a sub-block's scale may come with, in units of a level.
    static constexpr auto shifts = [] {
        if constexpr (signs == lattice_signs::shift_of_sub_block) return std::array{1, -1};
        else if constexpr (signs == lattice_signs::shift_of_group) return std::array{1};  // the code knows better
        else return std::array{0};
    }();
    [[nodiscard]] static float shift(const scales& s, std::size_t u) noexcept {
        return static_cast<float>(signs == lattice_signs::shift_of_sub_block && s.negative_shift[u] ? -1 : shifts[0]);
    }

    /// The levels that a code stands for, before the scale: eight signed bytes. `negative` is the shift of its sub-block,
    /// where that has one.
    [[nodiscard]] static kernels::byte_group levels(const code& c, bool negative) noexcept {
        kernels::byte_group bytes = codebook::words[c.index[0]];
        if constexpr (codebook::dimensions == 4)
            bytes |= static_cast<kernels::byte_group>(codebook::words[c.index[1]]) << 32;
        if constexpr (signs == lattice_signs::free || signs == lattice_signs::even) {
            return kernels::negate_bytes(bytes, c.signs);
        } else {
            const bool down = signs == lattice_signs::shift_of_group ? c.signs != 0 : negative;
            return kernels::add_bytes(bytes, kernels::repeat_byte(down ? 0xff : 0x01));
        }
    }

    /// The nearest code for the group of eight finite weights that begins with weight i, in the metric that the
    /// importances give. One at a time this is slow; rounder<Groups> searches for many groups at once.
    template <class Arch = kernels::default_arch>
    [[nodiscard]] static code round(const scales& s, std::size_t i, std::span<const float, group> x,
                                    std::span<const float, group> importance) noexcept {
        constexpr std::size_t lanes = kernels::lanes<Arch>;
        rounder<lanes, Arch> find;
        alignas(64) std::array<float, lanes> scale_of_group, shift_of_group, cost;
        scale_of_group.fill(scale(s, i / sub_block_size));
        shift_of_group.fill(shift(s, i / sub_block_size));
        for (std::size_t lane = 0; lane < lanes; ++lane) find.load(lane, x.data(), importance.data());
        std::array<code, lanes> codes;
        find.round(scale_of_group, shift_of_group, cost, codes);
        return codes[0];
    }

    /// What a code of the group that begins with weight i decodes to.
    [[nodiscard]] static std::array<float, group> value(const scales& s, std::size_t i, const code& c) noexcept {
        const auto bytes = std::bit_cast<std::array<std::int8_t, group>>(levels(c, shift(s, i / sub_block_size) < 0.0f));
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
