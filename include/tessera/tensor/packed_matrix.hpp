// A matrix in blocks of one format.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/core/view.hpp"
#include "tessera/format/concepts.hpp"

namespace tessera {

/// `rows` x `columns` weights as blocks of F, row after row. Columns are a multiple of F::block_size.
template <block_format F>
class packed_matrix {
public:
    using block = typename F::block;

    packed_matrix() = default;
    /// Blocks are left for an encoder to fill. Throws when a row is no whole number of blocks.
    packed_matrix(std::size_t rows, std::size_t columns) : rows_(rows), columns_(columns) {
        if (columns % F::block_size != 0)
            fail("packed_matrix: wanted rows of a multiple of ", F::block_size, " weights for ", F::name, ", got ",
                 columns);
        blocks_.resize(rows * blocks_per_row());
    }

    [[nodiscard]] std::size_t rows() const noexcept { return rows_; }
    [[nodiscard]] std::size_t columns() const noexcept { return columns_; }
    [[nodiscard]] std::size_t blocks_per_row() const noexcept { return columns_ / F::block_size; }
    [[nodiscard]] std::size_t bytes() const noexcept { return blocks_.size() * sizeof(block); }
    [[nodiscard]] std::span<const block> blocks() const noexcept { return blocks_; }
    [[nodiscard]] std::span<block> row(std::size_t r) noexcept {
        return {blocks_.data() + r * blocks_per_row(), blocks_per_row()};
    }
    [[nodiscard]] std::span<const block> row(std::size_t r) const noexcept {
        return {blocks_.data() + r * blocks_per_row(), blocks_per_row()};
    }
    /// The blocks of `count` rows.
    [[nodiscard]] std::span<block> rows(std::size_t first, std::size_t count) noexcept {
        return {blocks_.data() + first * blocks_per_row(), count * blocks_per_row()};
    }

    /// Decodes one row. `out` holds `columns()` floats.
    void decode_row(std::size_t r, std::span<float> out) const noexcept { decode_blocks<F>(row(r), out); }

private:
    std::size_t rows_ = 0;
    std::size_t columns_ = 0;
    std::vector<block> blocks_;
};

}  // namespace tessera
