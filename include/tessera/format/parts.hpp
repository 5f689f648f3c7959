// What the three parts of a scalar format must offer: planes, scaling, codebook; and what one lacks, in English.
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>

#include "tessera/kernels/byte_vector.hpp"
#include "tessera/kernels/simd.hpp"

namespace tessera {

/// Where the codes of `Weights` weights lie in a `Block`:
///   unpack<First>(block)   the codes of weights First to First + 15, a multiple of 16, one byte each
///   pack(codes, block)     writes all codes, an array of bytes
template <class P, class Block, std::size_t Weights>
concept planes_for = requires(const Block& in, Block& out, const std::array<std::uint8_t, Weights>& codes) {
    { P::template unpack<0>(in) } -> std::same_as<kernels::byte_vector>;
    P::pack(codes, out);
};

namespace detail {

template <class S>
concept scaling_facts = requires {
    { S::sub_blocks } -> std::convertible_to<std::size_t>;
    { S::has_min } -> std::convertible_to<bool>;
    { S::has_sub_scales } -> std::convertible_to<bool>;
    { S::scale_has_sign } -> std::convertible_to<bool>;
    { S::min_has_sign } -> std::convertible_to<bool>;
    typename S::scalar;
};

template <class S>
concept scaling_values = std::semiregular<typename S::scales> && requires(const typename S::scales& s, std::size_t g) {
    { s.scale(g) } -> std::convertible_to<float>;
    { s.min(g) } -> std::convertible_to<float>;
};

template <class S, class Block>
concept scaling_bytes = requires(const typename S::scales& s, const Block& in, Block& out) {
    { S::load(in) } -> std::same_as<typename S::scales>;
    S::store(s, out);
};

template <class S>
concept scaling_expands = requires(const typename S::scales& s, std::array<float, S::sub_blocks>& values) {
    S::template expand<kernels::default_arch>(s, values, values);
};

template <class S>
concept scaling_rounds = requires(std::span<const float, S::sub_blocks> values) {
    { S::quantize(values, values) } -> std::same_as<typename S::scales>;
};

// Two levels are searched through their fields.
template <class S>
concept scaling_levels = !S::has_sub_scales || requires(typename S::scales& s, typename S::scalar x, std::size_t g) {
    { S::sub_scale_low } -> std::convertible_to<int>;
    { S::sub_scale_high } -> std::convertible_to<int>;
    { S::sub_min_high } -> std::convertible_to<int>;
    s.super_scale = x;
    s.super_min = x;
    { s.sub_scale[g] } -> std::convertible_to<int>;
    { s.sub_min[g] } -> std::convertible_to<int>;
};

}  // namespace detail

/// How a `Block` stores its scales (and minimums), and what they are as floats. A weight of sub-block g is
/// scale(g) * level - min(g).
///   sub_blocks, has_min, has_sub_scales, scale_has_sign, min_has_sign   facts
///   scalar                   the type of a stored scale
///   scales                   all of a block, exactly as stored; scale(g), min(g) as floats
///   load(block), store(scales, block)
///   expand<Arch>(scales, scale, min)   all as floats, in arrays
///   quantize(scale, min)     the stored scales nearest to these
/// Scales in two levels (`has_sub_scales`) derive from two_level_scales.
template <class S, class Block>
concept scaling_for = detail::scaling_facts<S> && detail::scaling_values<S> && detail::scaling_bytes<S, Block> &&
                      detail::scaling_expands<S> && detail::scaling_rounds<S> && detail::scaling_levels<S>;

namespace detail {

template <class C>
concept codebook_range = requires {
    { C::low } -> std::convertible_to<float>;
    { C::high } -> std::convertible_to<float>;
    { C::steps } -> std::convertible_to<int>;
} && (C::low < C::high) && (C::steps > 0);

template <class C>
concept codebook_decodes = requires(std::uint8_t code, kernels::byte_vector sixteen) {
    { C::level(code) } -> std::convertible_to<float>;
    {
        C::template levels<kernels::default_arch, 0>(sixteen)
    } -> std::same_as<kernels::float_batch<kernels::default_arch>>;
};

template <class C>
concept codebook_rounds = requires(float x, kernels::float_batch<kernels::default_arch> many) {
    { C::code(x) } -> std::convertible_to<std::uint8_t>;
    { C::nearest(many) } -> std::same_as<kernels::float_batch<kernels::default_arch>>;
    { C::codes(many) } -> std::same_as<kernels::float_batch<kernels::default_arch>>;
};

}  // namespace detail

/// What a code stands for, before scales: its level.
///   low, high            the range of the levels that encoders use
///   steps                how many steps between neighbouring levels that range has
///   level(code)          the level of a code
///   levels<Arch, Part>(sixteen)  a register of levels: those of the Part-th lanes<Arch> codes of sixteen
///   code(x)              the code whose level is nearest to x
///   nearest(batch)       the levels nearest to a register of values
///   codes(batch)         their codes, as floats
template <class C>
concept scalar_codebook = detail::codebook_range<C> && detail::codebook_decodes<C> && detail::codebook_rounds<C>;

/// True for the planes of a scalar format. For anything else compilation stops at a sentence for each thing that is
/// missing, as with check_block_format.
template <class P, class Block, std::size_t Weights>
consteval bool check_planes() {
    static_assert(
        requires(const Block& in) {
            { P::template unpack<0>(in) } -> std::same_as<kernels::byte_vector>;
        }, "planes have a static unpack<First>(const block&) that returns sixteen codes as a kernels::byte_vector");
    static_assert(
        requires(const std::array<std::uint8_t, Weights>& codes, Block& out) { P::pack(codes, out); },
        "planes have a static pack(codes, block&) for an array of block_size bytes");
    return planes_for<P, Block, Weights>;
}

/// The same for its scaling.
template <class S, class Block>
consteval bool check_scaling() {
    static_assert(
        detail::scaling_facts<S>,
        "a scaling has sub_blocks, has_min, has_sub_scales, scale_has_sign, min_has_sign and a type `scalar`");
    static_assert(
        detail::scaling_values<S>,
        "a scaling has a default and copyable struct `scales` with scale(g) and min(g), the floats of sub-block g");
    static_assert(detail::scaling_bytes<S, Block>,
                  "a scaling has a static load(const block&) that returns scales, and a static store(scales, block&)");
    static_assert(detail::scaling_expands<S>,
                  "a scaling has a static expand<Arch>(scales, scale, min) that fills two arrays of sub_blocks floats");
    static_assert(
        detail::scaling_rounds<S>,
        "a scaling has a static quantize(scale, min) that returns the scales nearest to sub_blocks floats each");
    static_assert(
        detail::scaling_levels<S>,
        "a scaling with sub-scales has the range of its integers and their fields: derive from two_level_scales");
    return scaling_for<S, Block>;
}

/// The same for its codebook.
template <class C>
consteval bool check_codebook() {
    static_assert(
        detail::codebook_range<C>,
        "a codebook has the constants low and high, its extreme levels, and steps, how many lie between them");
    static_assert(detail::codebook_decodes<C>,
                  "a codebook has a static level(code), and levels<Arch, Part>(sixteen codes) for a register of them");
    static_assert(detail::codebook_rounds<C>,
                  "a codebook has a static code(x), and for a register of values nearest(x) and codes(x)");
    return scalar_codebook<C>;
}

}  // namespace tessera
