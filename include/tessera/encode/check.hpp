// What a type lacks to be an encoder, in English: a static_assert with one sentence for each thing.
#pragma once

#include <concepts>
#include <cstddef>
#include <span>
#include <string_view>
#include <type_traits>

#include "tessera/core/view.hpp"
#include "tessera/encode/encoders.hpp"
#include "tessera/encode/knowledge.hpp"
#include "tessera/format/registry.hpp"

namespace tessera {

/// True for an encoder of a format. For anything else compilation stops at a sentence for each thing that is missing:
///     static_assert(tessera::check_encoder_for<mine, tessera::q4_k>());
template <class E, block_format F>
consteval bool check_encoder_for() {
    static_assert(
        requires {
            { E::name } -> std::convertible_to<std::string_view>;
        }, "an encoder has a static name, for reports");
    static_assert(
        requires {
            { E::needs } -> std::convertible_to<encoder_needs>;
        }, "an encoder has a static `needs`, an encoder_needs: what it cannot do without, beside rows and importances");
    static_assert(
        requires { requires std::integral_constant<std::size_t, E::rows_at_once>::value > 0; },
        "an encoder has a constant rows_at_once, 1 or more: how many rows of a matrix it takes in one call");
    static_assert(
        requires(const E& e, matrix_view rows, const matrix_knowledge& known, std::span<typename F::block> out) {
            e(format_tag<F>{}, rows, known, out);
        },
        "an encoder is called as e(format_tag<F>, matrix_view rows, const matrix_knowledge&, std::span<F::block>) "
        "const");
    return encoder_for<E, F>;
}

}  // namespace tessera
