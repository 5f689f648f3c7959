// Rows of a matrix on their way from a source to blocks: read, checked, encoded, compared.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <type_traits>
#include <vector>

#include "tessera/core/bytes.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/tensor_info.hpp"
#include "tessera/core/view.hpp"
#include "tessera/encode/encoders.hpp"
#include "tessera/encode/knowledge.hpp"
#include "tessera/encode/saturation.hpp"
#include "tessera/format/builtin.hpp"
#include "tessera/kernels/reduce.hpp"
#include "tessera/measure/weight_error.hpp"
#include "tessera/quantize/correction.hpp"
#include "tessera/tensor/concepts.hpp"

namespace tessera {

namespace detail {

// Position of the first number that is not finite, or the size.
template <class Number>
[[nodiscard]] std::size_t first_not_finite(std::span<const Number> row) {
    const auto bad = std::ranges::find_if(row, [](Number x) { return !std::isfinite(x); });
    return static_cast<std::size_t>(bad - row.begin());
}

/// Throws naming the place when a row holds NaN or infinity.
template <class Number>
void require_finite(const tensor_info& info, std::uint64_t first_row, std::span<const Number> rows) {
    const std::size_t columns = info.columns();
    for (std::size_t r = 0; r * columns < rows.size(); ++r) {
        const std::span<const Number> row = rows.subspan(r * columns, columns);
        if constexpr (std::is_same_v<Number, float>)
            if (kernels::all_finite(row)) continue;
        const std::size_t bad = first_not_finite(row);
        if (bad < columns)
            fail("tensor ", info.name, ": row ", first_row + r, ", column ", bad, ": wanted a finite number, got ",
                 row[bad]);
    }
}

/// The same for rows as they are stored. Types that nobody can decode pass.
template <class Formats>
void require_finite(const tensor_info& info, std::uint64_t first_row, byte_view bytes) {
    if (is_integer(info.type())) return;
    if (info.type() == type_id::f64) {
        std::vector<double> values(bytes.size() / sizeof(double));
        std::memcpy(values.data(), bytes.data(), bytes.size());
        return require_finite(info, first_row, std::span<const double>(values));
    }
    std::vector<float> row(info.columns());
    const auto check = [&]<class List>(List) {
        if (List::find(info.type()) == nullptr) return false;
        for (std::size_t r = 0; r * info.row_bytes() < bytes.size(); ++r) {
            List::decode(info.type(), bytes.subspan(r * info.row_bytes(), info.row_bytes()), row);
            require_finite(info, first_row + r, std::span<const float>(row));
        }
        return true;
    };
    if (!check(Formats{})) check(stored_formats{});
}

/// Throws naming the place when a type made infinity of a weight.
inline void require_fit(const tensor_info& target, std::uint64_t row, std::span<const float> weights,
                        std::span<const float> decoded) {
    if (kernels::all_finite(decoded)) return;
    const std::size_t bad = first_not_finite(decoded);
    fail("tensor ", target.name, ": row ", row, ", column ", bad, ": wanted a number that ", target.layout.name,
         " can hold, got ", weights[bad], "; ", plain_type_for(weights[bad]).name, " can");
}

// The blocks of a row that ended with scales too small for them.
template <class F>
[[nodiscard]] saturation find_saturation(std::uint64_t row, std::span<const float> weights,
                                         std::span<const float> decoded) {
    saturation found;
    const bool is_small =
        std::ranges::none_of(weights, [](float x) { return std::fabs(x) >= least_saturating_weight; });
    if (F::block_size == 1 || is_small) return found;
    for (std::size_t first = 0; first < weights.size(); first += F::block_size) {
        const auto block_of = [&](std::span<const float> values) {
            return std::span<const float, F::block_size>(values.data() + first, F::block_size);
        };
        if (const auto at = find_saturated<F>(block_of(weights), block_of(decoded)))
            found += {1, row, first + *at, weights[first + *at], decoded[first + *at]};
    }
    return found;
}

}  // namespace detail

/// Encodes rows of a matrix, from `first_row` of the tensor on, to `bytes` in the type of `target`; returns their
/// error. Throws naming the place when a weight does not fit its type.
template <class Formats, class Encoder>
encoding_error encode_tile(const tensor_info& target, std::uint64_t first_row, matrix_view weights,
                           const matrix_knowledge& known, const Encoder& encoder, std::vector<std::byte>& bytes) {
    encoding_error sums;
    const std::size_t columns = weights.columns();
    bytes.resize(weights.rows() * target.row_bytes());
    Formats::dispatch(target.type(), [&]<class F>(format_tag<F>) {
        using block = typename F::block;
        constexpr std::size_t at_once = Encoder::rows_at_once;
        const std::size_t row_blocks = columns / F::block_size;
        std::vector<block> packed(std::min(at_once, weights.rows()) * row_blocks);
        std::vector<float> decoded(columns);
        for (std::size_t first = 0; first < weights.rows(); first += at_once) {
            const std::size_t count = std::min(at_once, weights.rows() - first);
            const matrix_view rows(weights.values().subspan(first * columns, count * columns), columns);
            encode_rows<F>(encoder, rows, known, std::span<block>(packed).first(count * row_blocks));
            for (std::size_t r = 0; r < count; ++r) {
                const std::span<const float> row = rows.row(r);
                decode_blocks<F>(std::span<const block>(packed).subspan(r * row_blocks, row_blocks), decoded);
                detail::require_fit(target, first_row + first + r, row, decoded);
                sums.saturated += detail::find_saturation<F>(first_row + first + r, row, decoded);
                sums.plain.add_row(row, decoded);
                if (!known.importance.empty()) sums.weighted.add_row(row, decoded, known.importance);
            }
            std::memcpy(bytes.data() + first * target.row_bytes(), packed.data(), count * target.row_bytes());
        }
    });
    return sums;
}

/// Rows of one matrix in floats.
class row_tile {
public:
    /// Reads rows of `stored`, moved as `known` says. Throws naming the place when a number is not finite.
    template <tensor_source Source>
    row_tile(const Source& source, const tensor_info& stored, std::uint64_t first_row, std::uint64_t rows,
             const matrix_knowledge& known)
        : size_(rows * stored.columns()),
          columns_(stored.columns()),
          values_(std::make_unique_for_overwrite<float[]>(size_)) {
        const std::span<float> values(values_.get(), size_);
        source.read(stored, first_row, rows, values);
        if (known.correction.rows() > 0) correct(mutable_matrix_view(values, columns_), known.correction);
        detail::require_finite(stored, first_row, std::span<const float>(values));
    }

    [[nodiscard]] matrix_view rows() const noexcept { return {{values_.get(), size_}, columns_}; }

private:
    std::size_t size_, columns_;
    std::unique_ptr<float[]> values_;
};

}  // namespace tessera
