// Encoders: how the codes of a row are chosen. An encoder is an argument, never part of a format.
#pragma once

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <span>
#include <string_view>

#include "tessera/config.hpp"
#include "tessera/core/type_id.hpp"
#include "tessera/core/view.hpp"
#include "tessera/encode/exact_scales.hpp"
#include "tessera/encode/fitted_search.hpp"
#include "tessera/encode/knowledge.hpp"
#include "tessera/encode/lattice_search.hpp"
#include "tessera/encode/scale_search.hpp"
#include "tessera/format/builtin.hpp"
#include "tessera/format/check.hpp"
#include "tessera/format/concepts.hpp"
#include "tessera/format/registry.hpp"

namespace tessera {

/// Encodes rows of one matrix to blocks of F: e(format_tag<F>{}, rows, knowledge, out). `rows` are at most
/// E::rows_at_once rows of whole blocks, of finite weights; `out` has a row's blocks after the other's. What becomes of
/// a row depends on that row and the knowledge only. E::needs says what the knowledge has to hold; E::name names the
/// encoder in reports.
template <class E, class F>
concept encoder_for = block_format<F> && requires(const E& e, matrix_view rows, const matrix_knowledge& known,
                                                  std::span<typename F::block> out) {
    { E::name } -> std::convertible_to<std::string_view>;
    { E::needs } -> std::convertible_to<encoder_needs>;
    { E::rows_at_once } -> std::convertible_to<std::size_t>;
    e(format_tag<F>{}, rows, known, out);
};

namespace detail {

/// As encode_rows, below, compiled here.
template <block_format F, encoder_for<F> Encoder>
void encode_rows_here(const Encoder& encoder, matrix_view rows, const matrix_knowledge& known,
                      std::span<typename F::block> out) {
    const std::size_t columns = rows.columns(), row_blocks = columns / F::block_size;
    for (std::size_t r = 0; r < rows.rows(); r += Encoder::rows_at_once) {
        const std::size_t count = std::min(std::size_t{Encoder::rows_at_once}, rows.rows() - r);
        encoder(format_tag<F>{}, matrix_view(rows.values().subspan(r * columns, count * columns), columns), known,
                out.subspan(r * row_blocks, count * row_blocks));
    }
}

/// The same for a format of a list by its id: one function that encodes to all of them.
template <class Formats, class Encoder>
void encode_rows_of(type_id format, const Encoder& encoder, matrix_view rows, const matrix_knowledge& known,
                    std::span<std::byte> out) {
    Formats::dispatch(format, [&]<class F>(format_tag<F>) {
        using block = typename F::block;
        encode_rows_here<F>(encoder, rows, known,
                            std::span(reinterpret_cast<block*>(out.data()), out.size() / sizeof(block)));
    });
}

/// Whether tessera::compiled has that function of an encoder for the built-in formats.
template <class Encoder>
inline constexpr bool is_compiled = false;

}  // namespace detail

/// Encodes any number of rows of a matrix; `out` holds their blocks.
template <block_format F, encoder_for<F> Encoder>
void encode_rows(const Encoder& encoder, matrix_view rows, const matrix_knowledge& known,
                 std::span<typename F::block> out) {
    TESSERA_ASSERT(rows.columns() % F::block_size == 0 && out.size() == rows.rows() * (rows.columns() / F::block_size),
                   "rows are whole blocks");
    if constexpr (detail::is_compiled<Encoder> && builtin_formats::contains<F>)
        detail::encode_rows_of<builtin_formats>(F::type, encoder, rows, known, std::as_writable_bytes(out));
    else
        detail::encode_rows_here<F>(encoder, rows, known, out);
}

/// Round to nearest (RTN): the format's own plain reference. Scales hold the extremes, every weight gets the nearest
/// level.
struct nearest {
    static constexpr std::string_view name = "nearest";
    static constexpr encoder_needs needs{};
    static constexpr std::size_t rows_at_once = 1;

    template <block_format F>
    void operator()(format_tag<F>, matrix_view rows, const matrix_knowledge&,
                    std::span<typename F::block> out) const noexcept {
        const std::span<const float> row = rows.values();
        TESSERA_ASSERT(row.size() == out.size() * F::block_size, "a row holds whole blocks");
        for (std::size_t b = 0; b < out.size(); ++b)
            F::encode(std::span<const float, F::block_size>(row.data() + b * F::block_size, F::block_size), out[b]);
    }
};

/// Scales that minimise the squared error, each column weighted by its importance. Weights that lie on the grid of a
/// format built from scales and levels are stored without error. Hand-written formats are searched through the stages
/// that two_stage_format asks for, with no more error than `nearest` makes; formats without stages are encoded by
/// `nearest`.
struct weighted {
    static constexpr std::string_view name = "weighted";
    static constexpr encoder_needs needs{};
    static constexpr std::size_t rows_at_once = 1;

    template <block_format F>
    void operator()(format_tag<F> format, matrix_view rows, const matrix_knowledge& known,
                    std::span<typename F::block> out) const {
        const std::span<const float> row = rows.values(), importance = known.importance;
        TESSERA_ASSERT(row.size() == out.size() * F::block_size, "a row holds whole blocks");
        TESSERA_ASSERT(importance.empty() || importance.size() == row.size(), "one importance a column");
        if constexpr (scaled_format<F>) {
            using search = scale_search<F>;
            search find_scales;
            std::array<typename F::scales, search::blocks> scales;
            // Weights that lie on the grid stay as they are; the first block shows that others do not.
            std::size_t exact = 0;
            for (; exact < out.size(); ++exact) {
                const std::span<const float, F::block_size> block(row.data() + exact * F::block_size, F::block_size);
                const auto found = exact_scales<F>::find(block);
                if (!found) break;
                F::store(*found, block, out[exact]);
            }
            for (std::size_t b = exact; b < out.size(); b += search::blocks) {
                const std::size_t count = std::min(search::blocks, out.size() - b);
                const auto part = [&](std::span<const float> values) {
                    return values.empty() ? values : values.subspan(b * F::block_size, count * F::block_size);
                };
                find_scales(part(row), part(importance), scales);
                for (std::size_t k = 0; k < count; ++k)
                    F::store(scales[k],
                             std::span<const float, F::block_size>(row.data() + (b + k) * F::block_size, F::block_size),
                             out[b + k]);
            }
        } else if constexpr (rounds_to_lattice<F>) {
            lattice_search<F> search;
            for (std::size_t b = 0; b < out.size(); ++b)
                search(std::span<const float, F::block_size>(row.data() + b * F::block_size, F::block_size),
                       importance.empty() ? importance : importance.subspan(b * F::block_size, F::block_size), out[b]);
        } else if constexpr (two_stage_format<F>) {
            fitted_search<F> search;
            std::array<float, F::block_size> reference;
            for (std::size_t b = 0; b < out.size(); ++b) {
                const std::span<const float, F::block_size> block(row.data() + b * F::block_size, F::block_size);
                search(block, importance.empty() ? importance : importance.subspan(b * F::block_size, F::block_size));
                F::encode(block, out[b]);
                F::decode(out[b], reference);
                if (search.error() < search.error_of(reference)) F::store(search.scales(), search.codes(), out[b]);
            }
        } else {
            if constexpr (requires { typename F::scales; })
                static_assert(check_two_stage_format<F>(), "a format with scales has all that a search of them needs");
            nearest{}(format, rows, known, out);
        }
    }
};

#ifdef TESSERA_COMPILED  // see compiled/
template <>
inline constexpr bool detail::is_compiled<weighted> = true;
extern template void detail::encode_rows_of<builtin_formats>(type_id, const weighted&, matrix_view,
                                                             const matrix_knowledge&, std::span<std::byte>);
#endif

}  // namespace tessera
