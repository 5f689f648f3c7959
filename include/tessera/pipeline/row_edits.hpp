// Ways to change a tensor's rows: at random, or as a format would.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "tessera/core/tensor_info.hpp"
#include "tessera/encode/encoders.hpp"
#include "tessera/format/builtin.hpp"
#include "tessera/measure/weight_error.hpp"
#include "tessera/tensor/concepts.hpp"

namespace tessera {

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
template <class Importances, class Encoder = weighted, class Formats = builtin_formats>
struct stored_in {
    type_layout layout;
    const Importances& importances;
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

/// The error an edit makes in about `rows` rows of a tensor, evenly spread, each column weighed by its importance.
template <tensor_source Source, class Importances, class Edit>
[[nodiscard]] weight_error sampled_error(const Source& source, const tensor_info& info, const Importances& importances,
                                         const Edit& edit, std::uint64_t rows) {
    weight_error sums;
    std::vector<float> original(info.columns()), edited;
    const std::uint64_t count = std::min(rows, info.rows());
    for (std::uint64_t i = 0; i < count; ++i) {
        const std::uint64_t row = (2 * i + 1) * info.rows() / (2 * count);
        source.read(info, row, 1, std::span(original));
        edited = original;
        edit(info, row, std::span(edited));
        sums.add_row(original, edited, importances.find(info, row / info.dims[1]));
    }
    return sums;
}

}  // namespace tessera
