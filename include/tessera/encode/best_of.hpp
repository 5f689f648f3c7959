// Several encoders, of which every matrix gets the best.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <span>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "tessera/config.hpp"
#include "tessera/core/view.hpp"
#include "tessera/encode/encoders.hpp"
#include "tessera/encode/knowledge.hpp"
#include "tessera/encode/output_error.hpp"
#include "tessera/format/concepts.hpp"
#include "tessera/format/registry.hpp"

namespace tessera {

/// The encoder with the least squared error of a matrix's outputs, judged by the inputs of held-out text, or where
/// there are none by those calibrated on. Of equal ones the first; where nothing is known of the inputs, the first that
/// needs no text.
///
/// A driver asks choose() once per matrix, with some of its rows, and encodes with the one that was chosen; called with
/// rows at once, it chooses by these.
template <class... Encoders>
class best_of {
public:
    static constexpr std::string_view name = "best_of";
    static constexpr encoder_needs needs = (Encoders::needs | ... | encoder_needs{.held_out = true});
    static constexpr std::size_t rows_at_once = std::max({std::size_t{Encoders::rows_at_once}...});
    static constexpr std::size_t size = sizeof...(Encoders);
    /// Sums by encoder.
    using errors = std::array<output_error, size>;

    constexpr explicit best_of(Encoders... encoders) : encoders_(std::move(encoders)...) {}

    /// Names of the encoders, in order.
    static constexpr std::array<std::string_view, size> names{Encoders::name...};

    /// The error that each encoder makes in these rows: an infinite one where its needs are not met.
    template <block_format F>
    [[nodiscard]] errors try_all(format_tag<F>, matrix_view rows, const matrix_knowledge& known) const {
        errors lost;
        lost.fill({HUGE_VAL, HUGE_VAL});
        const matrix_view judge = known.judge();
        for_each_usable(known, [&](std::size_t i, const auto& encoder) {
            lost[i] = measure_output_error<F>(encoder, rows, known, judge);
        });
        return lost;
    }

    /// The place of the encoder with the least error of those that can work with the knowledge; `size` when none can.
    [[nodiscard]] std::size_t choose(const errors& lost, const matrix_knowledge& known) const {
        std::size_t best = size;
        for_each_usable(known, [&](std::size_t i, const auto&) {
            if (best == size || lost[i].outputs < lost[best].outputs) best = i;
        });
        return best;
    }

    /// Calls f(encoder) for the encoder at a place.
    template <class Function>
    void visit(std::size_t place, Function&& f) const {
        std::apply(
            [&](const auto&... encoder) {
                std::size_t i = 0;
                (void)((i++ == place && (f(encoder), true)) || ...);
            },
            encoders_);
    }

    template <block_format F>
    void operator()(format_tag<F> format, matrix_view rows, const matrix_knowledge& known,
                    std::span<typename F::block> out) const {
        const std::size_t best = choose(try_all(format, rows, known), known);
        TESSERA_ASSERT(best < size, "some encoder can work with what is known");
        visit(best, [&](const auto& encoder) { encode_rows<F>(encoder, rows, known, out); });
    }

private:
    template <class Function>
    void for_each_usable(const matrix_knowledge& known, Function&& f) const {
        std::apply(
            [&](const auto&... encoder) {
                std::size_t i = 0;
                ((known.meets(Encoders::needs) ? f(i, encoder) : void(), ++i), ...);
            },
            encoders_);
    }

    std::tuple<Encoders...> encoders_;
};

/// An encoder that is one of several, to be chosen matrix by matrix: best_of, or what has the same members.
template <class E>
concept choosing_encoder = requires(const E& e, const typename E::errors& lost, const matrix_knowledge& known) {
    { e.choose(lost, known) } -> std::same_as<std::size_t>;
    { E::names[0] } -> std::convertible_to<std::string_view>;
};

/// Calls f with the encoder for a matrix of which so much is known: the one at the place `chosen` of several, else the
/// encoder itself; `weighted` where what is known meets the needs of none.
template <class Encoder, class Function>
void with_encoder(const Encoder& encoder, const matrix_knowledge& known, std::size_t chosen, Function&& f) {
    if constexpr (choosing_encoder<Encoder>) {
        if (chosen < Encoder::size) return encoder.visit(chosen, f);
    } else {
        if (known.meets(Encoder::needs)) return f(encoder);
    }
    f(weighted{});
}

/// The same where no rows were tried.
template <class Encoder, class Function>
void with_encoder(const Encoder& encoder, const matrix_knowledge& known, Function&& f) {
    std::size_t chosen = 0;
    if constexpr (choosing_encoder<Encoder>) chosen = encoder.choose({}, known);
    with_encoder(encoder, known, chosen, f);
}

}  // namespace tessera
