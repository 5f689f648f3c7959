// What a type must offer to be a quant format.
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <type_traits>

#include "tessera/core/type_id.hpp"

namespace tessera {

/// A struct that can be written to a file as it lies in memory. Plain floats have no unique representation (-0, NaN)
/// but no padding either, so they pass, too.
template <class B>
concept wire_block = std::is_trivially_copyable_v<B> && std::is_standard_layout_v<B> &&
                     (std::has_unique_object_representations_v<B> || std::is_floating_point_v<B>);

/// A quant format: `block_size` weights in one `block`, and what its bytes mean.
/// `encode` is the simple deterministic reference; better encoders live in encode/ and need two_stage_format.
template <class F>
concept block_format = wire_block<typename F::block> && std::convertible_to<decltype(F::name), std::string_view> &&
                       (std::size_t{F::block_size} > 0) &&
                       requires(typename F::block& out, const typename F::block& in,
                                std::span<float, F::block_size> weights, std::span<const float, F::block_size> source) {
                           { F::decode(in, weights) } noexcept;
                           { F::encode(source, out) } noexcept;
                       };

/// A block format that a GGUF file can name.
template <class F>
concept gguf_format = block_format<F> && std::same_as<std::remove_cv_t<decltype(F::type)>, type_id>;

namespace detail {

template <class F>
concept rounds_weights =
    F::group == 1 && requires(const typename F::scales& s, std::size_t i, float x, typename F::code_array& codes) {
        codes[i] = F::round(s, i, x);
        { F::value(s, i, codes[i]) } -> std::convertible_to<float>;
    };

template <class F>
concept rounds_groups = (F::group > 1) && F::block_size % F::group == 0 &&
                        requires(const typename F::scales& s, std::size_t i, std::span<const float, F::group> x,
                                 typename F::code_array& codes) {
                            codes[i] = F::round(s, i, x, x);
                            { F::value(s, i, codes[i]) } -> std::convertible_to<std::array<float, F::group>>;
                        };

}  // namespace detail

/// A format whose encoding falls into two stages: `scales` for a block first, then codes under those scales, `group`
/// weights at a time. `value` is what a code decodes to; `store` puts both into bytes. How scales are chosen is an
/// encoder's business (encode/); `fit(x, importance)` is where it begins: scales that suit a block, and suit the same
/// block made larger when they are made larger alike. Importances are none below 0 and not all 0; a plain `fit` ignores
/// them.
///
/// A weight that is rounded by itself has the code round(scales, i, x), the nearest one whatever the importance.
/// Weights that share a code are rounded together: round(scales, i, x, importance) takes `group` of them, beginning
/// with weight i of the block, minimises their squared error weighted by importance, and `value` returns as many.
/// codes[i] belongs to the i-th group of the block.
template <class F>
concept two_stage_format = block_format<F> && (detail::rounds_weights<F> || detail::rounds_groups<F>) &&
                           std::default_initializable<typename F::code_array> && std::semiregular<typename F::scales> &&
                           requires(const typename F::scales& s, const typename F::code_array& codes,
                                    typename F::block& out, std::span<const float, F::block_size> x) {
                               { F::fit(x, x) } noexcept -> std::same_as<typename F::scales>;
                               F::store(s, codes, out);
                           };

/// Bits a weight takes, scales included.
template <block_format F>
inline constexpr double bits_per_weight = 8.0 * sizeof(typename F::block) / F::block_size;

/// What llama.cpp's tools do with a format, where it says that: F::stock.
template <block_format F>
inline constexpr stock_facts stock_of = [] {
    if constexpr (requires { stock_facts(F::stock); })
        return stock_facts(F::stock);
    else
        return stock_facts{};
}();

/// Whether rows that are no whole blocks of another format may be stored in this one, as it says: F::is_fallback.
template <block_format F>
inline constexpr bool is_fallback = requires { requires F::is_fallback; };

/// The layout of a format, as the container needs it.
template <gguf_format F>
inline constexpr type_layout layout_of{F::type, F::name, F::block_size, sizeof(typename F::block), stock_of<F>};

/// Decodes consecutive blocks. Precondition: out.size() == blocks.size() * F::block_size.
template <block_format F>
void decode_blocks(std::span<const typename F::block> blocks, std::span<float> out) noexcept {
    for (std::size_t b = 0; b < blocks.size(); ++b)
        F::decode(blocks[b], std::span<float, F::block_size>(out.data() + b * F::block_size, F::block_size));
}

}  // namespace tessera
