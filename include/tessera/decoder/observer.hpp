// Letting others see what matrices are multiplied with.
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>

#include "tessera/core/function_ref.hpp"
#include "tessera/decoder/linear.hpp"
#include "tessera/decoder/matrix.hpp"
#include "tessera/decoder/routing.hpp"

namespace tessera::decoder {

/// Rows of some columns of a wide matrix, tile by tile: never all of them at once.
class input_tiles {
public:
    using rows_type = Eigen::Ref<const matrix, 0, Eigen::OuterStride<>>;
    /// Gives a tile's rows, all columns; `buffer` is where they lie unless they are in memory anyway.
    using reader = function_ref<const matrix&(std::size_t tile, matrix& buffer)>;

    input_tiles(reader read, std::size_t rows, std::size_t tile_rows, std::size_t first_column, std::size_t columns)
        : read_(read), rows_(rows), tile_rows_(tile_rows), first_column_(first_column), columns_(columns) {}

    [[nodiscard]] Eigen::Index rows() const noexcept { return static_cast<Eigen::Index>(rows_); }
    [[nodiscard]] Eigen::Index cols() const noexcept { return static_cast<Eigen::Index>(columns_); }
    [[nodiscard]] std::size_t size() const noexcept { return (rows_ + tile_rows_ - 1) / tile_rows_; }  ///< in tiles
    [[nodiscard]] Eigen::Index first_row(std::size_t tile) const noexcept {
        return static_cast<Eigen::Index>(tile * tile_rows_);
    }
    [[nodiscard]] std::size_t tile_at(Eigen::Index row) const noexcept {
        return static_cast<std::size_t>(row) / tile_rows_;
    }

    /// Calls body(first_row, rows) for tile after tile, as often as anybody likes to. Tiles without any of the rows
    /// [first, last) are left out, and of the others all rows are given.
    template <class Body>
    void for_each(Eigen::Index first, Eigen::Index last, Body&& body) const {
        matrix buffer;
        for (std::size_t i = 0; i < size(); ++i) {
            const Eigen::Index begin = first_row(i);
            if (begin >= last || begin + static_cast<Eigen::Index>(tile_rows_) <= first) continue;
            body(begin, tile(i, buffer));
        }
    }
    template <class Body>
    void for_each(Body&& body) const {
        for_each(0, rows(), body);
    }

    /// One tile's rows, perhaps in `buffer`.
    [[nodiscard]] rows_type tile(std::size_t i, matrix& buffer) const {
        return read_(i, buffer).middleCols(static_cast<Eigen::Index>(first_column_), cols());
    }

private:
    reader read_;
    std::size_t rows_, tile_rows_, first_column_, columns_;
};

/// What some linear layers are about to be multiplied with: rows of each token that the layers see; an expert's tokens
/// in ascending order.
struct linear_input {
    std::size_t layer;                       ///< of the decoder; one past the last for the output
    std::span<const linear* const> shared;   ///< the linear layers that get these very rows
    const input_tiles& rows;                 ///< tokens x inputs
    std::span<const routed_token> routed{};  ///< an expert's: the token of each row; else empty: tokens in order
    std::size_t first_token = 0;             ///< of the rows where they are no expert's; 0 when all come at once
};

/// How much of an input an observer is called with.
enum class shown_inputs {
    whole,        ///< all tokens, before any of the products is made: what it changes in the weights takes effect
    parts,        ///< tile after tile, in order, which keeps less
    routed_whole  ///< an expert's tokens at once, others tile after tile
};

/// Called on the thread that runs the decoder, before the products, never for experts without tokens. May be empty.
using input_observer = function_ref<void(const linear_input&)>;

}  // namespace tessera::decoder
