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

namespace layouts {

struct f32 {
    static constexpr std::string_view name = f32_layout.name;
    static constexpr type_id type = f32_layout.id;
    static constexpr engines runs_on = all_engines;
    static constexpr stock_facts stock = f32_layout.stock;
    static constexpr bool is_fallback = true;
    using block = float;
};
struct f16 {
    static constexpr std::string_view name = "F16";
    static constexpr type_id type = type_id::f16;
    static constexpr engines runs_on = all_engines;
    static constexpr stock_facts stock{.file_type = 1, .is_mix = true};
    static constexpr bool is_fallback = true;
    using block = half;
};
struct bf16 {
    static constexpr std::string_view name = "BF16";
    static constexpr type_id type = type_id::bf16;
    static constexpr engines runs_on{.cpu = {2808, "May 2024"},
                                     .cuda = {4419, "January 2025"},
                                     .metal = {4039, "November 2024"},
                                     .vulkan = {5249, "May 2025"},
                                     .sycl = {7311, "December 2025"}};
    static constexpr stock_facts stock{.file_type = 32, .is_mix = true};
    static constexpr bool is_fallback = true;
    using block = bfloat16;
};

// Storage only. Integers count as what every engine runs: they are looked up, never multiplied by.
struct f64 {
    static constexpr std::string_view name = "F64";
    static constexpr type_id type = type_id::f64;
    static constexpr engines runs_on = all_engines;
    using block = double;
};
struct i8 {
    static constexpr std::string_view name = "I8";
    static constexpr type_id type = type_id::i8;
    static constexpr engines runs_on = all_engines;
    using block = std::int8_t;
};
struct i16 {
    static constexpr std::string_view name = "I16";
    static constexpr type_id type = type_id::i16;
    static constexpr engines runs_on = all_engines;
    using block = std::int16_t;
};
struct i32 {
    static constexpr std::string_view name = "I32";
    static constexpr type_id type = type_id::i32;
    static constexpr engines runs_on = all_engines;
    using block = std::int32_t;
};
struct i64 {
    static constexpr std::string_view name = "I64";
    static constexpr type_id type = type_id::i64;
    static constexpr engines runs_on = all_engines;
    using block = std::int64_t;
};

}  // namespace layouts

/// A format whose block is one value, converted from float to nearest even. Integers beyond the range are cut to it,
/// NaN gives 0. `Layout` gives the facts and the value's type, `block`.
template <class Layout>
struct plain_format : Layout {
    static constexpr std::size_t block_size = 1;
    using block = typename Layout::block;

    static constexpr void decode(const block& in, std::span<float, 1> x) noexcept { x[0] = static_cast<float>(in); }
    static void encode(std::span<const float, 1> x, block& out) noexcept {
        if constexpr (std::integral<block>) {
            using limits = std::numeric_limits<block>;
            // The highest value rounds up to a power of two, the first float out of range.
            constexpr auto above = static_cast<float>(limits::max()) + (sizeof(block) < 4 ? 1.0f : 0.0f);
            const float rounded = std::nearbyint(x[0]);
            out = rounded >= above                              ? limits::max()
                  : rounded < static_cast<float>(limits::min()) ? limits::min()
                  : rounded == rounded                          ? static_cast<block>(rounded)
                                                                : block{0};
        } else {
            out = static_cast<block>(x[0]);
        }
    }
};

using f32 = plain_format<layouts::f32>;
using f16 = plain_format<layouts::f16>;
using bf16 = plain_format<layouts::bf16>;
using f64 = plain_format<layouts::f64>;
using i8 = plain_format<layouts::i8>;
using i16 = plain_format<layouts::i16>;
using i32 = plain_format<layouts::i32>;
using i64 = plain_format<layouts::i64>;

/// The first of F16, BF16 and F32 whose range holds a number.
[[nodiscard]] inline const type_layout& plain_type_for(float x) noexcept {
    if (std::isfinite(static_cast<float>(half(x)))) return layout_of<f16>;
    return std::isfinite(static_cast<float>(bfloat16(x))) ? layout_of<bf16> : layout_of<f32>;
}

}  // namespace tessera
