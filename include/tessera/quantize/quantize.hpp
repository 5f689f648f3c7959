// From a source and a plan to a sink: read rows, encode, write. Memory is bounded by the pieces in flight.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "tessera/calibrate/importance_table.hpp"
#include "tessera/core/bytes.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/metadata.hpp"
#include "tessera/core/parallel.hpp"
#include "tessera/core/progress.hpp"
#include "tessera/core/view.hpp"
#include "tessera/encode/encoders.hpp"
#include "tessera/encode/saturation.hpp"
#include "tessera/format/builtin.hpp"
#include "tessera/kernels/reduce.hpp"
#include "tessera/measure/weight_error.hpp"
#include "tessera/select/plan.hpp"
#include "tessera/tensor/concepts.hpp"
#include "tessera/tensor/packed_matrix.hpp"

namespace tessera {

/// Packs a matrix: one importance per column, or none. Throws when the columns are no whole number of blocks.
template <block_format F, class Encoder = weighted>
requires encoder_for<Encoder, F>
[[nodiscard]] packed_matrix<F> quantize(matrix_view weights, std::span<const float> importance = {},
                                        const Encoder& encoder = {}, int threads = 1) {
    packed_matrix<F> packed(weights.rows(), weights.columns());
    parallel_for(weights.rows(), threads,
                 [&](std::size_t r) { encoder(format_tag<F>{}, weights.row(r), importance, packed.row(r)); });
    return packed;
}

struct quantize_options {
    int threads = 0;                                ///< 0: all of the machine's
    std::uint64_t piece_weights = 1 << 20;          ///< weights that one thread has in flight, at least one row
    const importance_table* importances = nullptr;  ///< null: all columns count alike
};

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

// Rows that an encoder takes in one call.
template <class Encoder>
inline constexpr std::size_t rows_at_once = 1;
template <class Encoder>
requires(Encoder::rows_at_once > 1)
inline constexpr std::size_t rows_at_once<Encoder> = Encoder::rows_at_once;

template <class Formats, class Encoder>
encoding_error encode_rows(const tensor_info& target, std::uint64_t first_row, std::span<float> weights,
                           std::span<const float> importance, const Encoder& encoder, std::vector<std::byte>& bytes) {
    encoding_error sums;
    const std::size_t columns = target.columns();
    const std::size_t rows = weights.size() / columns;
    bytes.resize(rows * target.row_bytes());
    Formats::dispatch(target.type(), [&]<class F>(format_tag<F>) {
        using block = typename F::block;
        const std::size_t row_blocks = columns / F::block_size;
        std::vector<block> packed(rows_at_once<Encoder> * row_blocks);
        std::vector<float> decoded(columns);
        for (std::size_t first = 0; first < rows; first += rows_at_once<Encoder>) {
            const std::size_t count = std::min(rows_at_once<Encoder>, rows - first);
            encoder(format_tag<F>{}, std::span<const float>(weights.subspan(first * columns, count * columns)),
                    importance, std::span<block>(packed).first(count * row_blocks));
            for (std::size_t r = 0; r < count; ++r) {
                const std::span<const float> row = weights.subspan((first + r) * columns, columns);
                decode_blocks<F>(std::span<const block>(packed).subspan(r * row_blocks, row_blocks), decoded);
                require_fit(target, first_row + first + r, row, decoded);
                sums.saturated += find_saturation<F>(first_row + first + r, row, decoded);
                sums.plain.add_row(row, decoded);
                if (!importance.empty()) sums.weighed.add_row(row, decoded, importance);
            }
            std::memcpy(bytes.data() + first * target.row_bytes(), packed.data(), count * target.row_bytes());
        }
    });
    return sums;
}

// Brings rows of one matrix from a source to a sink; called from several threads.
template <class Formats, tensor_source Source, tensor_sink Sink>
struct row_writer {
    const Source& source;
    Sink& sink;

    // Reads rows as floats, as they are to be encoded. What is read to be written is finite, here and in write.
    void read(const tensor_info& info, std::uint64_t first_row, std::uint64_t rows, std::span<float> out) const {
        source.read(info, first_row, rows, out);
        require_finite(info, first_row, std::span<const float>(out));
    }

    // What a choice's rows are called and how they are stored in the source.
    [[nodiscard]] static tensor_info stored(const select::choice& choice) {
        tensor_info info = choice.target;
        info.name = choice.source_name();
        info.layout = choice.source;
        return info;
    }

    // Copies the rows where the type stays, else encodes them.
    template <class Encoder>
    encoding_error write(const select::choice& choice, std::uint64_t first_row, std::uint64_t rows,
                         std::span<const float> importance, const Encoder& encoder) const {
        const tensor_info& target = choice.target;
        const tensor_info info = stored(choice);
        encoding_error error;
        byte_view copied;
        if constexpr (packed_tensor_source<Source>)
            if (info.type() == target.type()) copied = source.packed(info, first_row, rows);
        std::vector<std::byte> encoded;
        if constexpr (requires { encoded = source.repacked(info, first_row, rows); })
            if (info.type() == target.type() && copied.empty()) encoded = source.repacked(info, first_row, rows);
        if (const byte_view same = copied.empty() ? byte_view(encoded) : copied; !same.empty()) {
            require_finite<Formats>(info, first_row, same);
        } else {
            const std::size_t count = rows * target.columns();
            const auto weights = std::make_unique_for_overwrite<float[]>(count);
            const std::span<float> values(weights.get(), count);
            read(info, first_row, rows, values);
            error = encode_rows<Formats>(target, first_row, values, importance, encoder, encoded);
        }
        sink.write(target, first_row, copied.empty() ? byte_view(encoded) : copied);
        if constexpr (requires { source.release(info, first_row, rows); })
            if (!copied.empty()) source.release(info, first_row, rows);
        return error;
    }
};

}  // namespace detail

/// Writes every tensor of `source` to `sink` in the type the plan gives it, with `properties` as metadata. Tensors that
/// keep their type are copied byte for byte. Returns the error per tensor, in the plan's order.
///
/// The bytes written depend on source, plan, encoder and importances only. Throws when importances are those of another
/// model, a number is not finite, whether it is encoded or copied, or one does not fit its type; the sink is then not
/// finished. Weights that scales cannot hold are in the errors.
template <class Formats = builtin_formats, tensor_source Source, class Encoder, tensor_sink Sink>
std::vector<encoding_error> quantize_model(const Source& source, const select::plan& plan, const metadata& properties,
                                           const Encoder& encoder, Sink& sink, const quantize_options& options = {},
                                           progress_callback report = {}) {
    static const importance_table none;
    const importance_table& importances = options.importances == nullptr ? none : *options.importances;
    const std::vector<tensor_info> targets = plan.targets();
    importances.require_fit(targets);

    struct piece {  // of one matrix
        std::size_t tensor;
        std::uint64_t first_row, rows;
    };
    std::vector<piece> pieces;
    std::uint64_t total = 0;
    for (std::size_t t = 0; t < targets.size(); ++t) {
        const tensor_info& target = targets[t];
        const std::uint64_t step =
            std::max<std::uint64_t>(1, options.piece_weights / std::max<std::uint64_t>(1, target.columns()));
        for (std::uint64_t matrix = 0; matrix < target.rows(); matrix += target.dims[1])
            for (std::uint64_t row = 0; row < target.dims[1]; row += step)
                pieces.push_back({t, matrix + row, std::min(step, target.dims[1] - row)});
        total += target.weights();
    }

    sink.begin(std::span<const tensor_info>(targets), properties);

    const detail::row_writer<Formats, Source, Sink> writer{source, sink};
    std::vector<encoding_error> piece_errors(pieces.size());
    std::mutex reporting;
    std::uint64_t done = 0;
    parallel_for(pieces.size(), options.threads, [&](std::size_t p) {
        const auto& [t, first_row, rows] = pieces[p];
        const tensor_info& target = targets[t];
        piece_errors[p] = writer.write(plan.choices[t], first_row, rows,
                                       importances.find(target, first_row / target.dims[1]), encoder);

        if (report) {
            const std::lock_guard lock(reporting);
            done += rows * target.columns();
            report({.stage = "quantize", .unit = "weights", .done = done, .total = total});
        }
    });
    sink.finish();

    std::vector<encoding_error> errors(targets.size());
    for (std::size_t p = 0; p < pieces.size(); ++p)  // in order, so that the sums do not depend on threads
        errors[pieces[p].tensor] += piece_errors[p];
    return errors;
}

}  // namespace tessera
