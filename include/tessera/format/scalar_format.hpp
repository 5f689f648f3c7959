// A format from three parts: bit planes, scaling, codebook.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "tessera/core/type_id.hpp"
#include "tessera/format/codebook.hpp"
#include "tessera/format/concepts.hpp"
#include "tessera/format/engines.hpp"
#include "tessera/format/parts.hpp"
#include "tessera/format/planes.hpp"
#include "tessera/format/scaling.hpp"
#include "tessera/kernels/extremes.hpp"

namespace tessera {

/// A format in which every weight is rounded by itself. `Layout` gives the facts (`name`, `block_size`, `type` where
/// GGUF has one, `runs_on` where engines are known), the bytes (`block`) and their meaning (`planes`, `scaling`,
/// `codebook`).
///
/// Decoding is exact but for the final subtraction of a minimum. The reference encoder gives each sub-block the scale
/// that just holds its extremes, stores it, and rounds every weight to the nearest level.
template <class Layout>
struct scalar_format : Layout {
    using block = typename Layout::block;
    using planes = typename Layout::planes;
    using scaling = typename Layout::scaling;
    using codebook = typename Layout::codebook;

    static constexpr std::size_t block_size = Layout::block_size;
    static_assert(check_planes<planes, block, block_size>() && check_scaling<scaling, block>() &&
                  check_codebook<codebook>());
    static constexpr std::size_t sub_block_size = block_size / scaling::sub_blocks;
    static_assert(block_size % (16 * scaling::sub_blocks) == 0,
                  "a block is sub_blocks parts of a multiple of 16 weights: registers hold weights of one part only");
    using code_array = std::array<std::uint8_t, block_size>;

    template <class Arch = kernels::default_arch>
    static void decode(const block& in, std::span<float, block_size> x) noexcept {
        using batch = kernels::float_batch<Arch>;
        std::array<float, scaling::sub_blocks> scales, mins;
        scaling::template expand<Arch>(scaling::load(in), scales, mins);
        for_each_sixteen([&]<std::size_t First>() {
            constexpr std::size_t g = First / sub_block_size;
            const kernels::byte_vector codes = planes::template unpack<First>(in);
            for_each_part<Arch>([&]<std::size_t Part>() {
                batch weight = batch(scales[g]) * codebook::template levels<Arch, Part>(codes);
                if constexpr (scaling::has_min) weight = weight - batch(mins[g]);
                weight.store_unaligned(x.data() + First + Part * kernels::lanes<Arch>);
            });
        });
    }

    static void encode(std::span<const float, block_size> x, block& out) noexcept { store(nearest_scales(x), x, out); }

    // --- the two stages of encoding: scales first, then codes ---

    using scales = typename scaling::scales;
    static constexpr std::size_t group = 1;  ///< weights that are rounded together

    /// Where a search may begin: scales that hold the extremes. Importances change nothing about these.
    [[nodiscard]] static scales fit(std::span<const float, block_size> x, std::span<const float, block_size>) noexcept {
        return nearest_scales(x);
    }

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

    static void load(const block& in, scales& s, code_array& codes) noexcept {
        s = scaling::load(in);
        for_each_sixteen([&]<std::size_t First>() {
            kernels::store_bytes(planes::template unpack<First>(in), codes.data() + First);
        });
    }
    static void store(const scales& s, const code_array& codes, block& out) noexcept {
        scaling::store(s, out);
        planes::pack(codes, out);
    }

    /// Rounds every weight of the block, then stores. NaN takes the code of the lowest level.
    template <class Arch = kernels::default_arch>
    static void store(const scales& s, std::span<const float, block_size> x, block& out) noexcept {
        using batch = kernels::float_batch<Arch>;
        code_array codes;
        for (std::size_t g = 0; g < scaling::sub_blocks; ++g) {
            const batch min(s.min(g));
            const batch inverse(kernels::reciprocal_or_zero(s.scale(g)));
            for (std::size_t i = g * sub_block_size; i < (g + 1) * sub_block_size; i += kernels::lanes<Arch>) {
                const batch value = batch::load_unaligned(x.data() + i);
                const batch level = (scaling::has_min ? value + min : value) * inverse;
                kernels::narrow<Arch>(codebook::codes(level), codes.data() + i);
            }
        }
        store(s, codes, out);
    }

    /// Scales that just hold the extremes of every sub-block. Magnitudes beyond 2^96 are cut to it, so that no weight
    /// decodes to infinity; with NaN among the weights any finite scales may come out.
    template <class Arch = kernels::default_arch>
    [[nodiscard]] static scales nearest_scales(std::span<const float, block_size> x) noexcept {
        std::array<float, scaling::sub_blocks> scale{};
        std::array<float, scaling::sub_blocks> min{};
        for (std::size_t g = 0; g < scaling::sub_blocks; ++g) {
            constexpr float limit = 0x1p96f;
            auto [lowest, highest] = kernels::find_extremes<sub_block_size, Arch>(x.data() + g * sub_block_size);
            lowest = kernels::clamp(lowest, -limit, limit);
            highest = kernels::clamp(highest, -limit, limit);
            if constexpr (scaling::has_min && !scaling::min_has_sign) {
                lowest = std::min(lowest, 0.0f);
                highest = std::max(highest, 0.0f);
            }
            if constexpr (scaling::has_min) {
                // Level `low` stands for the lowest weight.
                scale[g] = (highest - lowest) / (codebook::high - codebook::low);
                min[g] = scale[g] * codebook::low - lowest;
            } else if constexpr (codebook::steps == 1) {
                // With two levels the mean magnitude is what both stand for.
                float sum = 0.0f;
                for (const float value : x.subspan(g * sub_block_size, sub_block_size)) sum += std::fabs(value);
                scale[g] = sum / (static_cast<float>(sub_block_size) * codebook::high);
            } else {
                // The extreme takes the level of largest magnitude, so the scale carries its sign where it can.
                constexpr bool low_is_widest = -codebook::low > codebook::high;
                constexpr float widest = low_is_widest ? codebook::low : codebook::high;
                const bool low_is_extreme = -lowest > highest;
                const float extreme = low_is_extreme ? lowest : highest;
                if constexpr (scaling::scale_has_sign && -codebook::low != codebook::high)
                    scale[g] = extreme / widest;
                else
                    scale[g] = std::fabs(extreme) / std::fabs(low_is_extreme ? codebook::low : codebook::high);
            }
        }
        return scaling::quantize(scale, min);
    }

private:
    // visit.operator()<First>() for First = 0, 16, 32, ...
    template <class Visit>
    static void for_each_sixteen(Visit visit) noexcept {
        [&]<std::size_t... I>(std::index_sequence<I...>) {
            (visit.template operator()<I * 16>(), ...);
        }(std::make_index_sequence<block_size / 16>{});
    }
    // visit.operator()<Part>() for the registers that sixteen floats fill.
    template <class Arch, class Visit>
    static void for_each_part(Visit visit) noexcept {
        [&]<std::size_t... Part>(std::index_sequence<Part...>) {
            (visit.template operator()<Part>(), ...);
        }(std::make_index_sequence<16 / kernels::lanes<Arch>>{});
    }
};

}  // namespace tessera
