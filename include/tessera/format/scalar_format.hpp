// A format from three parts: bit planes, scaling, codebook.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>

#include "tessera/core/type_id.hpp"
#include "tessera/format/codebook.hpp"
#include "tessera/format/concepts.hpp"
#include "tessera/format/planes.hpp"
#include "tessera/format/scaling.hpp"

namespace tessera {

/// A format in which every weight is rounded by itself. `Layout` gives the facts (`name`, `type`, `block_size`), the
/// bytes (`block`) and their meaning (`planes`, `scaling`, `codebook`).
///
/// Decoding is exact but for the final subtraction of a minimum. The reference encoder gives each sub-block the scale
/// that just holds its extremes, stores it, and rounds every weight to the nearest level.
template <class Layout>
struct scalar_format {
    static constexpr std::string_view name = Layout::name;
    static constexpr type_id type = Layout::type;
    static constexpr std::size_t block_size = Layout::block_size;
    using block = typename Layout::block;
    using planes = typename Layout::planes;
    using scaling = typename Layout::scaling;
    using codebook = typename Layout::codebook;

    static constexpr std::size_t sub_block_size = block_size / scaling::sub_blocks;
    using code_array = std::array<std::uint8_t, block_size>;

    static void decode(const block& in, std::span<float, block_size> x) noexcept {
        code_array codes;
        planes::unpack(in, codes);
        const scales s = scaling::load(in);
        for (std::size_t g = 0; g < scaling::sub_blocks; ++g) {
            const float scale = s.scale(g);
            const float min = s.min(g);
            for (std::size_t i = g * sub_block_size; i < (g + 1) * sub_block_size; ++i)
                x[i] = scaling::has_min ? scale * codebook::level(codes[i]) - min : scale * codebook::level(codes[i]);
        }
    }

    static void encode(std::span<const float, block_size> x, block& out) noexcept { store(nearest_scales(x), x, out); }

    // --- the two stages of encoding: scales first, then codes ---

    using scales = typename scaling::scales;
    static constexpr std::size_t group = 1;  ///< weights that are rounded together

    /// The code of weight i of the block, given the block's scales.
    [[nodiscard]] static std::uint8_t round(const scales& s, std::size_t i, float x) noexcept {
        const std::size_t g = i / sub_block_size;
        return codebook::code((x + s.min(g)) * kernels::reciprocal_or_zero(s.scale(g)));
    }

    /// What a code of weight i decodes to.
    [[nodiscard]] static float value(const scales& s, std::size_t i, std::uint8_t code) noexcept {
        const std::size_t g = i / sub_block_size;
        return s.scale(g) * codebook::level(code) - s.min(g);
    }

    static void store(const scales& s, const code_array& codes, block& out) noexcept {
        scaling::store(s, out);
        planes::pack(codes, out);
    }

    /// Rounds every weight of the block, then stores.
    static void store(const scales& s, std::span<const float, block_size> x, block& out) noexcept {
        code_array codes;
        for (std::size_t g = 0; g < scaling::sub_blocks; ++g) {
            const float min = s.min(g);
            const float inverse = kernels::reciprocal_or_zero(s.scale(g));
            for (std::size_t i = g * sub_block_size; i < (g + 1) * sub_block_size; ++i)
                codes[i] = codebook::code((x[i] + min) * inverse);
        }
        store(s, codes, out);
    }

    /// Scales that just hold the extremes of every sub-block.
    [[nodiscard]] static scales nearest_scales(std::span<const float, block_size> x) noexcept {
        std::array<float, scaling::sub_blocks> scale{};
        std::array<float, scaling::sub_blocks> min{};
        for (std::size_t g = 0; g < scaling::sub_blocks; ++g) {
            const auto sub = x.subspan(g * sub_block_size, sub_block_size);
            if constexpr (scaling::has_min) {
                const auto [lowest, highest] = std::minmax_element(sub.begin(), sub.end());
                min[g] = std::max(0.0f, -*lowest);
                scale[g] = std::max(0.0f, *highest + min[g]) / codebook::high;
            } else {
                // The extreme takes the level of largest magnitude, so the scale carries its sign.
                const float extreme = *std::max_element(sub.begin(), sub.end(),
                                                        [](float a, float b) { return std::fabs(a) < std::fabs(b); });
                scale[g] =
                    -codebook::low > codebook::high ? extreme / codebook::low : std::fabs(extreme) / codebook::high;
            }
        }
        return quantize_scales(scale, min);
    }

    /// The stored scales nearest to these: the largest takes the sub-scale of largest magnitude.
    [[nodiscard]] static scales quantize_scales(std::span<const float, scaling::sub_blocks> scale,
                                                std::span<const float, scaling::sub_blocks> min) noexcept {
        scales s{};
        constexpr bool signed_sub_scales = scaling::sub_scale_low < 0;
        constexpr auto widest =
            static_cast<float>(signed_sub_scales ? scaling::sub_scale_low : scaling::sub_scale_high);
        float largest = 0.0f;
        float largest_min = 0.0f;
        for (std::size_t g = 0; g < scaling::sub_blocks; ++g) {
            if (std::fabs(scale[g]) > std::fabs(largest)) largest = scale[g];
            largest_min = std::max(largest_min, min[g]);
        }
        s.super_scale = finite_half(largest / widest);
        const float inverse = kernels::reciprocal_or_zero(static_cast<float>(s.super_scale));
        if constexpr (scaling::has_min) s.super_min = finite_half(largest_min / scaling::sub_min_high);
        const float inverse_min = kernels::reciprocal_or_zero(static_cast<float>(s.super_min));
        for (std::size_t g = 0; g < scaling::sub_blocks; ++g) {
            s.sub_scale[g] = static_cast<std::int8_t>(kernels::round_to_even(
                kernels::clamp(scale[g] * inverse, scaling::sub_scale_low, scaling::sub_scale_high)));
            if constexpr (scaling::has_min)
                s.sub_min[g] = static_cast<std::uint8_t>(
                    kernels::round_to_even(kernels::clamp(min[g] * inverse_min, 0.0f, scaling::sub_min_high)));
        }
        return s;
    }
};

}  // namespace tessera
