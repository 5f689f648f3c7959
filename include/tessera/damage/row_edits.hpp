// Ways to change a tensor's rows: at random, or as a format would.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "tessera/calibrate/importance_table.hpp"
#include "tessera/core/tensor_info.hpp"
#include "tessera/encode/encoders.hpp"
#include "tessera/format/builtin.hpp"
#include "tessera/measure/weight_error.hpp"
#include "tessera/tensor/concepts.hpp"

namespace tessera {

/// Changes rows of a tensor, in place, to what a candidate would have: edit(info, first_row, rows). The change of a row
/// depends on the row only. Called from several threads.
template <class E>
concept row_edit = requires(const E& edit, const tensor_info& info, std::uint64_t row, std::span<float> rows) {
    edit(info, row, rows);
};

/// Adds noise of a known size: every weight moves by `relative` times the root mean square of its 32 neighbours, up or
/// down at random. That is what errors of block formats look like, without their bias.
struct noise {
    double relative;
    std::uint64_t seed = 0;

    void operator()(const tensor_info& info, std::uint64_t first_row, std::span<float> rows) const {
        constexpr std::size_t block = 32;
        const std::size_t columns = info.columns();
        for (std::size_t r = 0; r * columns < rows.size(); ++r) {
            const std::span<float> row = rows.subspan(r * columns, columns);
            std::uint64_t state = mixed(seed ^ mixed(first_row + r));
            for (std::size_t i = 0; i < columns; i += block) {
                const std::span<float> part = row.subspan(i, std::min(block, columns - i));
                double squares = 0;
                for (const float x : part) squares += double{x} * double{x};
                const auto step = static_cast<float>(relative * std::sqrt(squares / static_cast<double>(part.size())));
                std::uint64_t signs = mixed(state++);
                for (float& x : part) {
                    x += (signs & 1) != 0 ? step : -step;
                    signs >>= 1;
                }
            }
        }
    }

private:
    // A step of the SplitMix64 generator (Steele, Lea, Flood 2014): every bit of the result depends on all of x.
    [[nodiscard]] static std::uint64_t mixed(std::uint64_t x) noexcept {
        x += 0x9e3779b97f4a7c15;
        x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
        x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
        return x ^ (x >> 31);
    }
};

/// Rounds rows as a format and an encoder do. Rows are whole blocks of the format.
template <class Encoder = weighted, class Formats = builtin_formats>
struct stored_in {
    type_layout layout;
    const importance_table& importances;
    Encoder encoder = {};

    void operator()(const tensor_info& info, std::uint64_t first_row, std::span<float> rows) const {
        const std::size_t columns = info.columns();
        Formats::dispatch(layout.id, [&]<class F>(format_tag<F> format) {
            std::vector<typename F::block> blocks(columns / F::block_size);
            for (std::size_t r = 0; r * columns < rows.size(); ++r) {
                const std::span<float> row = rows.subspan(r * columns, columns);
                encoder(format, std::span<const float>(row), importances.find(info, (first_row + r) / info.dims[1]),
                        std::span(blocks));
                decode_blocks<F>(blocks, row);
            }
        });
    }
};

/// The error that an edit makes in about `rows` rows of a tensor, evenly spread: `stored` as the source knows it,
/// `info` as edits and importances do. Each column is weighed by its importance, each matrix by the tokens that reach
/// it.
template <tensor_source Source, row_edit Edit>
[[nodiscard]] weight_error sampled_error(const Source& source, const tensor_info& stored, const tensor_info& info,
                                         const importance_table& importances, const Edit& edit, std::uint64_t rows) {
    const tensor_importance* entry = importances.find(info.name);
    weight_error sums;
    std::vector<float> original(info.columns()), edited;
    const std::uint64_t count = std::min(rows, info.rows());
    for (std::uint64_t i = 0; i < count; ++i) {
        const std::uint64_t row = (2 * i + 1) * info.rows() / (2 * count);
        const std::uint64_t matrix = row / info.dims[1];
        source.read(stored, row, 1, std::span(original));
        edited = original;
        edit(info, row, std::span(edited));
        weight_error of_row;
        of_row.add_row(original, edited, importances.find(info, matrix));
        const bool each = entry != nullptr && entry->tokens.size() > 1;
        const double tokens = each ? static_cast<double>(entry->tokens[matrix]) : 1.0;
        sums += {tokens * of_row.squared_error, tokens * of_row.squared_norm};
    }
    return sums;
}

}  // namespace tessera
