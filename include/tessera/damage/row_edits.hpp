// Ways to change a tensor's rows: at random, or as a format would.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>

#include "tessera/core/tensor_info.hpp"

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

/// Rows as a tensor that was encoded has them.
template <class Encoding>
struct stored_rows {
    const Encoding& encoded;  ///< see tensor_encoding

    void operator()(const tensor_info& info, std::uint64_t first_row, std::span<float> rows) const {
        encoded.read(first_row, rows.size() / info.columns(), rows);
    }
};

}  // namespace tessera
