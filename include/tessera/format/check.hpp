// What a type lacks to be a format, in English.
#pragma once

#include <concepts>
#include <cstddef>
#include <span>
#include <string_view>
#include <type_traits>

#include "tessera/format/concepts.hpp"

namespace tessera {

/// True for a block format. For anything else compilation stops at a sentence for each thing that is missing:
///     static_assert(tessera::check_block_format<mine>());
template <class F>
consteval bool check_block_format() {
    static_assert(
        requires {
            { F::name } -> std::convertible_to<std::string_view>;
        }, "a format has a static name");
    static_assert(
        requires { std::integral_constant<std::size_t, F::block_size>{}; },
        "a format has a constant block_size: how many weights share a block");
    static_assert(requires { typename F::block; }, "a format has a struct `block`: its bytes as they lie in a file");
    static_assert(std::is_trivially_copyable_v<typename F::block> && std::is_standard_layout_v<typename F::block>,
                  "a block is plain data: no constructors that do anything, no virtual functions, one access level");
    static_assert(wire_block<typename F::block>,
                  "a block has no padding and no floats: order the fields by alignment, use half or bfloat16");
    static_assert(
        requires(const typename F::block& in, std::span<float, F::block_size> weights) {
            { F::decode(in, weights) } noexcept;
        }, "a format has a static decode(const block&, std::span<float, block_size>) noexcept");
    static_assert(
        requires(std::span<const float, F::block_size> weights, typename F::block& out) {
            { F::encode(weights, out) } noexcept;
        }, "a format has a static encode(std::span<const float, block_size>, block&) noexcept");
    return block_format<F>;
}

}  // namespace tessera
