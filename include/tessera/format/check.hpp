// What a type lacks to be a format, in English: a static_assert with one sentence for each thing. (Of the parts of one:
// format/parts.hpp.)
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <span>
#include <string_view>
#include <type_traits>

#include "tessera/core/type_id.hpp"
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

/// The same for a format that a list holds and a file can name.
template <class F>
consteval bool check_gguf_format() {
    static_assert(
        requires { requires std::same_as<std::remove_cv_t<decltype(F::type)>, type_id>; },
        "a format in a list has a static `type`, a type_id: those of your own count from type_id::first_private");
    return check_block_format<F>() && gguf_format<F>;
}

/// The same for a format that encoders search: scales first, codes second.
template <class F>
consteval bool check_two_stage_format() {
    static_assert(
        requires {
            typename F::scales;
            requires std::semiregular<typename F::scales>;
        }, "a format in two stages has a default and copyable struct `scales`: those of a block, as stored");
    static_assert(
        requires { requires F::group >= 1 && F::block_size % F::group == 0; },
        "a format in two stages has a constant `group`: how many weights share a code, 1 where none do");
    static_assert(
        requires(typename F::code_array& codes) {
            requires std::default_initializable<typename F::code_array>;
            codes[std::size_t{}];
        }, "a format in two stages has an array type `code_array`: the codes of a block");
    static_assert(
        requires(std::span<const float, F::block_size> x) {
            { F::fit(x, x) } noexcept -> std::same_as<typename F::scales>;
        }, "a format in two stages has a static fit(weights, importance) noexcept that returns scales for a block");
    static_assert(
        requires { requires F::group > 1; } ||
            requires(const typename F::scales& s, std::size_t i, float x, typename F::code_array& codes) {
                codes[i] = F::round(s, i, x);
            },
        "a format whose weights have codes of their own has a static round(scales, i, x) that returns the code");
    static_assert(
        requires { requires F::group == 1; } ||
            requires(const typename F::scales& s, std::size_t i, std::span<const float, F::group> x,
                     typename F::code_array& codes) { codes[i] = F::round(s, i, x, x); },
        "a format whose weights share codes has a static round(scales, i, x, importance) that returns a group's code");
    static_assert(
        requires { requires F::group > 1; } ||
            requires(const typename F::scales& s, std::size_t i, const typename F::code_array& codes) {
                { F::value(s, i, codes[i]) } -> std::convertible_to<float>;
            },
        "a format whose weights have codes of their own has a static value(scales, i, code): what weight i decodes to");
    static_assert(
        requires { requires F::group == 1; } ||
            requires(const typename F::scales& s, std::size_t i, const typename F::code_array& codes) {
                { F::value(s, i, codes[i]) } -> std::convertible_to<std::array<float, F::group>>;
            },
        "a format whose weights share codes has a static value(scales, i, code): an array of what a group decodes to");
    static_assert(
        requires(const typename F::scales& s, const typename F::code_array& codes, typename F::block& out) {
            F::store(s, codes, out);
        }, "a format in two stages has a static store(scales, codes, block&) that writes both into bytes");
    return check_block_format<F>() && two_stage_format<F>;
}

}  // namespace tessera
