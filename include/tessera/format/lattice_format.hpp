// A format of vectors: every eight weights share codewords of a codebook, with signs or a common shift.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string_view>

#include "tessera/core/half.hpp"
#include "tessera/core/type_id.hpp"
#include "tessera/format/concepts.hpp"
#include "tessera/format/engines.hpp"
#include "tessera/format/lattice_codebooks.hpp"
#include "tessera/format/lattice_fields.hpp"
#include "tessera/format/lattice_rounding.hpp"
#include "tessera/format/scaling.hpp"
#include "tessera/kernels/byte_group.hpp"
#include "tessera/kernels/rounding.hpp"
#include "tessera/kernels/simd.hpp"

namespace tessera {

/// The scales of one block, exactly as stored: levels of sub-block u are multiplied by
///     super_scale * unit * (2 sub_scale[u] + 1),
/// where the unit is the format's. All products are exact in float.
template <std::size_t SubBlocks, int SubScaleHigh, bool Shifted = false>
struct lattice_scales {
    static constexpr std::size_t sub_blocks = SubBlocks;
    static constexpr int sub_scale_high = SubScaleHigh;

    half super_scale;
    std::array<std::uint8_t, SubBlocks> sub_scale;
    /// 1 where levels are shifted down, 0 where up; with lattice_signs::shift_of_sub_block.
    std::array<std::uint8_t, Shifted ? SubBlocks : 0> negative_shift{};
};

/// A format in which eight weights are rounded together: one codeword of eight coordinates or two of four, and what
/// lattice_signs says. `Layout` gives the facts (`name`, `type`, `runs_on`), the bytes (`block`), the `codebook`, its
/// `signs`, the `unit` and type of the `scales`, and where they lie: `load_scales`, `load_code`, and for a block of
/// zeros `add_scales`, `add_code`. Codes are found by two numbers: those of the 32 weights b, and among them of the
/// group p, because fields of four groups lie together.
///
/// Decoding is exact. The reference encoder tries for every sub-block the scales that take its largest magnitude to one
/// of the levels, each corrected once by least squares, and rounds to the nearest codewords.
template <class Layout>
struct lattice_format : Layout {
    using block = typename Layout::block;
    using codebook = typename Layout::codebook;
    using scales = typename Layout::scales;
    static constexpr lattice_signs signs = Layout::signs;

    static constexpr std::size_t block_size = 256;
    static constexpr std::size_t group = 8;  ///< weights that are rounded together
    static constexpr std::size_t groups = block_size / group;
    static constexpr std::size_t sub_blocks = scales::sub_blocks;
    static constexpr std::size_t sub_block_size = block_size / sub_blocks;
    static constexpr std::size_t groups_of_sub_block = groups / sub_blocks;
    using code = lattice_code<group / codebook::dimensions>;
    using code_array = std::array<code, groups>;

    template <class Arch = kernels::default_arch>
    static void decode(const block& in, std::span<float, block_size> x) noexcept {
        const scales s = Layout::load_scales(in);
        alignas(64) std::array<kernels::byte_group, groups> bytes;
        for (std::size_t b = 0; b < groups / 4; ++b)
            for (std::size_t p = 0; p < 4; ++p)
                bytes[4 * b + p] = levels(Layout::load_code(in, b, p),
                                          shift(s, 4 * b / groups_of_sub_block + p / groups_of_sub_block));
        const auto* level = reinterpret_cast<const std::int8_t*>(bytes.data());
        for (std::size_t u = 0; u < sub_blocks; ++u) {
            const kernels::float_batch<Arch> factor(scale(s, u));
            for (std::size_t i = 0; i < sub_block_size; i += kernels::lanes<Arch>)
                (factor * kernels::widen<Arch>(level + u * sub_block_size + i))
                    .store_unaligned(x.data() + u * sub_block_size + i);
        }
    }

    static void encode(std::span<const float, block_size> x, block& out) noexcept {
        rounder<groups> find;
        const scales s = nearest_scales(x, find);
        code_array codes;
        find.round(factors(s), codes);
        store(s, codes, out);
    }

    // --- the two stages of encoding: scales first, then codes ---

    /// Searches for the codes of many groups at once.
    template <std::size_t Groups, class Arch = kernels::default_arch>
    using rounder = lattice_rounder<codebook, signs, Groups, Arch>;

    /// The scales of the plain reference, whatever the importances.
    [[nodiscard]] static scales fit(std::span<const float, block_size> x, std::span<const float, block_size>) noexcept {
        rounder<groups> find;
        return nearest_scales(x, find);
    }

    /// What a level of sub-block u is multiplied by.
    [[nodiscard]] static float scale(const scales& s, std::size_t u) noexcept {
        return static_cast<float>(s.super_scale) * Layout::unit * static_cast<float>(2 * s.sub_scale[u] + 1);
    }
    /// The same with a block scale of 1.
    [[nodiscard]] static float factor(float sub_scale) noexcept { return Layout::unit * (2.0f * sub_scale + 1.0f); }
    /// The sub-scale, still as a float, whose product with the block's scale is nearest to the one wanted.
    [[nodiscard]] static float nearest_sub_scale(float wanted, float super_scale) noexcept {
        const float odd = wanted * kernels::reciprocal_or_zero(super_scale * Layout::unit);
        return kernels::round_to_even(kernels::clamp(0.5f * (odd - 1.0f), 0.0f, scales::sub_scale_high));
    }

    /// The shifts of its levels that the scale of a sub-block may come with.
    static constexpr auto shifts = [] {
        if constexpr (signs == lattice_signs::shift_of_sub_block)
            return std::array{1, -1};
        else
            return std::array{0};
    }();
    /// The shift that the scale of sub-block u comes with; 0 where that is the code's business.
    [[nodiscard]] static int shift([[maybe_unused]] const scales& s, [[maybe_unused]] std::size_t u) noexcept {
        if constexpr (signs == lattice_signs::shift_of_sub_block) return 1 - 2 * s.negative_shift[u];
        return 0;
    }

    /// How far from zero a level is with the shift of its sub-block; upwards, where the code has the shift.
    [[nodiscard]] static int magnitude(int level, int shift) noexcept {
        return std::abs(level + (signs == lattice_signs::shift_of_group ? 1 : shift));
    }

    /// Scale and shift of every group of the block.
    [[nodiscard]] static lattice_factors<groups> factors(const scales& s) noexcept {
        lattice_factors<groups> all;
        for (std::size_t g = 0; g < groups; ++g) {
            all.scale[g] = scale(s, g / groups_of_sub_block);
            all.shift[g] = static_cast<float>(shift(s, g / groups_of_sub_block));
        }
        return all;
    }

    /// The levels that a code stands for, before the scale: eight signed bytes. `shift` is that of its sub-block.
    [[nodiscard]] static kernels::byte_group levels(const code& c, [[maybe_unused]] int shift) noexcept {
        kernels::byte_group bytes = codebook::words[c.index[0]];
        if constexpr (codebook::dimensions == 4)
            bytes |= static_cast<kernels::byte_group>(codebook::words[c.index[1]]) << 32;
        if constexpr (signs == lattice_signs::free || signs == lattice_signs::even)
            return kernels::negate_bytes(bytes, c.signs);
        else
            return kernels::add_to_bytes(bytes, signs == lattice_signs::shift_of_group ? 1 - 2 * c.signs : shift);
    }

    /// The nearest code for the group of eight finite weights that begins with weight i, in the metric that the
    /// importances give. For many groups, `rounder` is the faster way.
    template <class Arch = kernels::default_arch>
    [[nodiscard]] static code round(const scales& s, std::size_t i, std::span<const float, group> x,
                                    std::span<const float, group> importance) noexcept {
        constexpr std::size_t lanes = kernels::lanes<Arch>;
        rounder<lanes, Arch> find;
        lattice_factors<lanes> all;
        all.scale.fill(scale(s, i / sub_block_size));
        all.shift.fill(static_cast<float>(shift(s, i / sub_block_size)));
        for (std::size_t lane = 0; lane < lanes; ++lane) find.load(lane, x.data(), importance.data());
        std::array<code, lanes> codes;
        find.round(all, codes);
        return codes[0];
    }

    /// What a code of the group that begins with weight i decodes to.
    [[nodiscard]] static std::array<float, group> value(const scales& s, std::size_t i, const code& c) noexcept {
        const std::size_t u = i / sub_block_size;
        const auto level = std::bit_cast<std::array<std::int8_t, group>>(levels(c, shift(s, u)));
        std::array<float, group> x;
        for (std::size_t j = 0; j < group; ++j) x[j] = scale(s, u) * static_cast<float>(level[j]);
        return x;
    }

    static void load(const block& in, scales& s, code_array& codes) noexcept {
        s = Layout::load_scales(in);
        for (std::size_t g = 0; g < groups; ++g) codes[g] = Layout::load_code(in, g / 4, g % 4);
    }
    static void store(const scales& s, const code_array& codes, block& out) noexcept {
        out = {};
        Layout::add_scales(s, out);
        for (std::size_t g = 0; g < groups; ++g) Layout::add_code(codes[g], g / 4, g % 4, out);
    }

private:
    // For every sub-block the best of the scales that take its largest magnitude to a level. Loads the weights, evenly
    // important and cut to what can be squared, into `find`.
    [[nodiscard]] static scales nearest_scales(std::span<const float, block_size> weights,
                                               rounder<groups>& find) noexcept {
        std::array<float, block_size> x;
        std::transform(weights.begin(), weights.end(), x.begin(), bounded_weight);
        static constexpr std::array<float, group> even{1, 1, 1, 1, 1, 1, 1, 1};
        for (std::size_t g = 0; g < groups; ++g) find.load(g, x.data() + g * group, even.data());
        scales s{};
        std::array<float, sub_blocks> largest{}, best{}, best_gain{};
        for (std::size_t i = 0; i < block_size; ++i)
            largest[i / sub_block_size] = std::max(largest[i / sub_block_size], std::fabs(x[i]));
        lattice_factors<groups> tried;
        code_array codes;
        for (const int shift : shifts)
            for (const int level : codebook::levels) {
                for (std::size_t g = 0; g < groups; ++g) {
                    tried.scale[g] = largest[g / groups_of_sub_block] / static_cast<float>(magnitude(level, shift));
                    tried.shift[g] = static_cast<float>(shift);
                }
                find.round(tried, codes);
                for (std::size_t u = 0; u < sub_blocks; ++u) {
                    float xc = 0.0f, cc = 0.0f;
                    for (std::size_t i = u * sub_block_size; i < (u + 1) * sub_block_size; i += group) {
                        const auto c = std::bit_cast<std::array<std::int8_t, group>>(levels(codes[i / group], shift));
                        for (std::size_t j = 0; j < group; ++j) {
                            xc += x[i + j] * static_cast<float>(c[j]);
                            cc += static_cast<float>(c[j] * c[j]);
                        }
                    }
                    // The best scale for these codes, xc / cc, lowers the error from sum x^2 by this.
                    const float gain = xc > 0.0f ? xc * xc / cc : 0.0f;
                    if (!(gain > best_gain[u])) continue;
                    best_gain[u] = gain;
                    best[u] = xc / cc;
                    if constexpr (signs == lattice_signs::shift_of_sub_block) s.negative_shift[u] = shift < 0;
                }
            }
        s.super_scale =
            finite_scale<half>(*std::max_element(best.begin(), best.end()) / factor(scales::sub_scale_high));
        for (std::size_t u = 0; u < sub_blocks; ++u)
            s.sub_scale[u] = static_cast<std::uint8_t>(nearest_sub_scale(best[u], static_cast<float>(s.super_scale)));
        return s;
    }
};

}  // namespace tessera
