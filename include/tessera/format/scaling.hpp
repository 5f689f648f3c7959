// How a block stores its scales (and minimums), and what they are as floats. A weight in sub-block g is
//     scale(g) * level - min(g).
// All products are exact in float.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>

#include "tessera/core/half.hpp"
#include "tessera/core/scale_float.hpp"
#include "tessera/format/planes.hpp"
#include "tessera/kernels/rounding.hpp"
#include "tessera/kernels/simd.hpp"

namespace tessera {

/// The nearest value of a scale's type that is finite: beyond its range it is cut, NaN gives 0.
template <class Scalar>
[[nodiscard]] inline Scalar finite_scale(float x) noexcept {
    if (!(x == x)) x = 0.0f;
    if constexpr (std::same_as<Scalar, half>) x = kernels::clamp(x, -65504.0f, 65504.0f);
    if constexpr (std::same_as<Scalar, bfloat16>) x = kernels::clamp(x, -0x1.fep127f, 0x1.fep127f);
    return Scalar(x);
}

/// True for the types that can hold a negative scale.
template <class Scalar>
inline constexpr bool has_sign = static_cast<float>(Scalar(-1.0f)) < 0.0f;
template <int Bias>
inline constexpr bool has_sign<power_of_two<Bias>> = false;
template <int Bias>
inline constexpr bool has_sign<unsigned_e4m3<Bias>> = false;

namespace detail {

// A field that is one value or an array of them, seen as `size` values of type `value`.
template <class Field>
struct values_in {
    using value = Field;
    static constexpr std::size_t size = 1;
    static Field* data(Field& field) noexcept { return &field; }
    static const Field* data(const Field& field) noexcept { return &field; }
};
template <class Value, std::size_t N>
struct values_in<std::array<Value, N>> {
    using value = Value;
    static constexpr std::size_t size = N;
    static Value* data(std::array<Value, N>& field) noexcept { return field.data(); }
    static const Value* data(const std::array<Value, N>& field) noexcept { return field.data(); }
};

}  // namespace detail

/// Every sub-block has a scale of its own, stored as one value of a small float type: `Scales` is a field of that type,
/// or an array of them. `Offsets` may name a field of the same form that holds minus the minimum, of either sign.
template <auto Scales, auto Offsets = nullptr>
struct scale_per_sub_block {
    using field = detail::values_in<detail::field_of<Scales>>;
    using scalar = typename field::value;
    static constexpr std::size_t sub_blocks = field::size;
    static constexpr bool has_min = !std::is_null_pointer_v<decltype(Offsets)>;
    static constexpr bool has_sub_scales = false;
    static constexpr bool scale_has_sign = has_sign<scalar>;
    static constexpr bool min_has_sign = true;
    static_assert(!has_min || scale_has_sign, "offsets have either sign: their type is half or bfloat16");

    struct scales {
        std::array<scalar, sub_blocks> stored;
        std::array<scalar, has_min ? sub_blocks : 1> offset;

        [[nodiscard]] float scale(std::size_t g) const noexcept { return static_cast<float>(stored[g]); }
        [[nodiscard]] float min(std::size_t g) const noexcept {
            if constexpr (has_min) return -static_cast<float>(offset[g]);
            return 0.0f;
        }
    };

    template <class Block>
    [[nodiscard]] static scales load(const Block& in) noexcept {
        scales s{};
        std::copy_n(field::data(in.*Scales), sub_blocks, s.stored.data());
        if constexpr (has_min) std::copy_n(field::data(in.*Offsets), sub_blocks, s.offset.data());
        return s;
    }
    template <class Block>
    static void store(const scales& s, Block& out) noexcept {
        std::copy_n(s.stored.data(), sub_blocks, field::data(out.*Scales));
        if constexpr (has_min) std::copy_n(s.offset.data(), sub_blocks, field::data(out.*Offsets));
    }

    /// All scales and minimums at once, as `scale` and `min` give them one by one.
    template <class Arch>
    static void expand(const scales& s, std::array<float, sub_blocks>& scale,
                       std::array<float, sub_blocks>& min) noexcept {
        for (std::size_t g = 0; g < sub_blocks; ++g) {
            scale[g] = s.scale(g);
            if constexpr (has_min) min[g] = s.min(g);
        }
    }

    /// The stored scales nearest to these.
    [[nodiscard]] static scales quantize(std::span<const float, sub_blocks> scale,
                                         std::span<const float, sub_blocks> min) noexcept {
        scales s{};
        for (std::size_t g = 0; g < sub_blocks; ++g) {
            s.stored[g] = finite_scale<scalar>(scale[g]);
            if constexpr (has_min) s.offset[g] = finite_scale<scalar>(-min[g]);
        }
        return s;
    }
};

/// Scales in two levels: the block's scale times an integer in [Low, High] for each sub-block, and, where MinHigh is
/// not 0, the block's minimum times an integer in [0, MinHigh]. How the integers lie in the block is the business of
/// the types that derive from this.
template <class Scalar, std::size_t SubBlocks, int Low, int High, int MinHigh = 0>
struct two_level_scales {
    using scalar = Scalar;
    static constexpr std::size_t sub_blocks = SubBlocks;
    static constexpr bool has_min = MinHigh != 0;
    static constexpr bool has_sub_scales = true;
    static constexpr bool scale_has_sign = Low < 0;
    static constexpr bool min_has_sign = false;
    static constexpr int sub_scale_low = Low;
    static constexpr int sub_scale_high = High;
    static constexpr int sub_min_high = MinHigh;
    static_assert(Low <= 0 && High > 0 && Low >= -128 && High < 128 && MinHigh < 256);

    struct scales {
        Scalar super_scale;
        Scalar super_min;
        std::array<std::int8_t, SubBlocks> sub_scale;
        std::array<std::uint8_t, has_min ? SubBlocks : 1> sub_min;

        [[nodiscard]] float scale(std::size_t g) const noexcept {
            return static_cast<float>(super_scale) * static_cast<float>(sub_scale[g]);
        }
        [[nodiscard]] float min(std::size_t g) const noexcept {
            if constexpr (has_min) return static_cast<float>(super_min) * static_cast<float>(sub_min[g]);
            return 0.0f;
        }
    };

    /// All scales and minimums at once, as `scale` and `min` give them one by one.
    template <class Arch>
    static void expand(const scales& s, std::array<float, SubBlocks>& scale,
                       std::array<float, SubBlocks>& min) noexcept {
        using batch = kernels::float_batch<Arch>;
        const auto expand_one = [](Scalar super, const auto& integers, std::array<float, SubBlocks>& to) {
            if constexpr (SubBlocks % kernels::lanes<Arch> == 0) {
                const batch factor(static_cast<float>(super));
                for (std::size_t g = 0; g < SubBlocks; g += kernels::lanes<Arch>)
                    (factor * kernels::widen<Arch>(integers.data() + g)).store_unaligned(to.data() + g);
            } else {
                for (std::size_t g = 0; g < SubBlocks; ++g)
                    to[g] = static_cast<float>(super) * static_cast<float>(integers[g]);
            }
        };
        expand_one(s.super_scale, s.sub_scale, scale);
        if constexpr (has_min) expand_one(s.super_min, s.sub_min, min);
    }

    /// The stored scales nearest to these: the largest takes the sub-scale of largest magnitude.
    [[nodiscard]] static scales quantize(std::span<const float, SubBlocks> scale,
                                         std::span<const float, SubBlocks> min) noexcept {
        scales s{};
        constexpr auto widest = static_cast<float>(-Low > High && has_sign<Scalar> ? Low : High);
        float largest = 0.0f, largest_min = 0.0f;
        for (std::size_t g = 0; g < SubBlocks; ++g) {
            if (std::fabs(scale[g]) > std::fabs(largest)) largest = scale[g];
            largest_min = std::max(largest_min, min[g]);
        }
        s.super_scale = finite_scale<Scalar>(largest / widest);
        const float inverse = kernels::reciprocal_or_zero(static_cast<float>(s.super_scale));
        s.super_min = finite_scale<Scalar>(has_min ? largest_min / static_cast<float>(std::max(MinHigh, 1)) : 0.0f);
        const float inverse_min = kernels::reciprocal_or_zero(static_cast<float>(s.super_min));
        for (std::size_t g = 0; g < SubBlocks; ++g) {
            s.sub_scale[g] =
                static_cast<std::int8_t>(kernels::round_to_even(kernels::clamp(scale[g] * inverse, Low, High)));
            if constexpr (has_min)
                s.sub_min[g] = static_cast<std::uint8_t>(
                    kernels::round_to_even(kernels::clamp(min[g] * inverse_min, 0.0f, MinHigh)));
        }
        return s;
    }
};

namespace detail {
// Two levels as large as fields of bytes allow.
template <auto Scale, auto SubScales, auto Min>
using byte_levels = two_level_scales<field_of<Scale>, std::tuple_size_v<field_of<SubScales>>,
                                     std::is_signed_v<typename field_of<SubScales>::value_type> ? -128 : 0, 127,
                                     std::is_null_pointer_v<decltype(Min)> ? 0 : 255>;
}  // namespace detail

/// Two levels with a byte for each integer: the sub-scales an array of std::int8_t (-128 to 127) or std::uint8_t (up to
/// 127, so that both fit the same kernels), the sub-minimums, if any, an array of std::uint8_t.
template <auto Scale, auto SubScales, auto Min = nullptr, auto SubMins = nullptr>
struct byte_sub_scales : detail::byte_levels<Scale, SubScales, Min> {
    using base = detail::byte_levels<Scale, SubScales, Min>;
    using scales = typename base::scales;

    template <class Block>
    [[nodiscard]] static scales load(const Block& in) noexcept {
        scales s{};
        s.super_scale = in.*Scale;
        for (std::size_t g = 0; g < base::sub_blocks; ++g)
            s.sub_scale[g] = static_cast<std::int8_t>(std::min<int>((in.*SubScales)[g], 127));
        if constexpr (base::has_min) {
            s.super_min = in.*Min;
            s.sub_min = in.*SubMins;
        }
        return s;
    }
    template <class Block>
    static void store(const scales& s, Block& out) noexcept {
        out.*Scale = s.super_scale;
        for (std::size_t g = 0; g < base::sub_blocks; ++g)
            (out.*SubScales)[g] = static_cast<typename detail::field_of<SubScales>::value_type>(s.sub_scale[g]);
        if constexpr (base::has_min) {
            out.*Min = s.super_min;
            out.*SubMins = s.sub_min;
        }
    }
};

}  // namespace tessera
