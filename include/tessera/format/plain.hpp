// F32, F16, BF16 for weights; F64 and the integer types as plain storage: one value a block.
#pragma once

#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string_view>

#include "tessera/core/half.hpp"
#include "tessera/format/concepts.hpp"
#include "tessera/format/engines.hpp"

namespace tessera {

namespace detail {

// Integers count as what every engine runs: they are looked up, never multiplied by.
template <type_id Type>
inline constexpr engines plain_engines = all_engines;
template <>
inline constexpr engines plain_engines<type_id::bf16>{.cpu = {2808, "May 2024"},
                                                      .cuda = {4419, "January 2025"},
                                                      .metal = {4039, "November 2024"},
                                                      .vulkan = {5249, "May 2025"},
                                                      .sycl = {7311, "December 2025"}};

}  // namespace detail

/// A format whose block is one value of `Scalar`, converted from float to nearest even. Integers beyond the range are
/// cut to it, NaN gives 0.
template <class Scalar, type_id Type>
struct plain_format {
    static constexpr std::string_view name = find_type(Type)->name;
    static constexpr type_id type = Type;
    static constexpr std::size_t block_size = 1;
    static constexpr engines runs_on = detail::plain_engines<Type>;
    using block = Scalar;

    static constexpr void decode(const block& in, std::span<float, 1> x) noexcept { x[0] = static_cast<float>(in); }
    static void encode(std::span<const float, 1> x, block& out) noexcept {
        if constexpr (std::integral<Scalar>) {
            using limits = std::numeric_limits<Scalar>;
            // The highest value rounds up to a power of two, the first float out of range.
            constexpr auto above = static_cast<float>(limits::max()) + (sizeof(Scalar) < 4 ? 1.0f : 0.0f);
            const float rounded = std::nearbyint(x[0]);
            out = rounded >= above                              ? limits::max()
                  : rounded < static_cast<float>(limits::min()) ? limits::min()
                  : rounded == rounded                          ? static_cast<Scalar>(rounded)
                                                                : Scalar{0};
        } else {
            out = static_cast<block>(x[0]);
        }
    }
};

using f32 = plain_format<float, type_id::f32>;
using f16 = plain_format<half, type_id::f16>;
using bf16 = plain_format<bfloat16, type_id::bf16>;

/// The first of F16, BF16 and F32 whose range holds a number.
[[nodiscard]] inline const type_layout& plain_type_for(float x) noexcept {
    if (std::isfinite(static_cast<float>(half(x)))) return *find_type(type_id::f16);
    return *find_type(std::isfinite(static_cast<float>(bfloat16(x))) ? type_id::bf16 : type_id::f32);
}

using f64 = plain_format<double, type_id::f64>;
using i8 = plain_format<std::int8_t, type_id::i8>;
using i16 = plain_format<std::int16_t, type_id::i16>;
using i32 = plain_format<std::int32_t, type_id::i32>;
using i64 = plain_format<std::int64_t, type_id::i64>;

}  // namespace tessera
