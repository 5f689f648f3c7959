// Where the rows of a converted tensor come from: permutations and selections as arithmetic, not as tables.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

namespace tessera::huggingface {

/// Maps each of its rows to a row of a source tensor: the row number is read as digits, slowest first, and every digit
/// moves the source row by its stride, from an offset on. Interleaving, splitting and reordering of heads and slices of
/// fused tensors are all of this kind. Columns are mapped in the same way.
class row_map {
public:
    struct digit {
        std::uint64_t extent = 1;
        std::uint64_t stride = 0;
    };

    /// `rows` rows as they are, from the source's row `offset` on.
    explicit constexpr row_map(std::uint64_t rows, std::uint64_t offset = 0) noexcept
        : digits_{{{}, {}, {rows, 1}}}, offset_(offset) {}
    constexpr row_map(const digit& slow, const digit& middle, const digit& fast, std::uint64_t offset = 0) noexcept
        : digits_{slow, middle, fast}, offset_(offset) {}

    [[nodiscard]] constexpr std::uint64_t rows() const noexcept {
        return digits_[0].extent * digits_[1].extent * digits_[2].extent;
    }
    /// The source row of `row`. Precondition: row < rows().
    [[nodiscard]] constexpr std::uint64_t operator()(std::uint64_t row) const noexcept {
        const auto& [slow, middle, fast] = digits_;
        const std::uint64_t upper = row / fast.extent;
        return offset_ + upper / middle.extent * slow.stride + upper % middle.extent * middle.stride +
               row % fast.extent * fast.stride;
    }
    /// How many rows from `row` on, at most `limit`, follow each other in the source, too. At least 1.
    [[nodiscard]] constexpr std::uint64_t run(std::uint64_t row, std::uint64_t limit) const noexcept {
        const digit& fast = digits_[2];
        return std::min(limit, fast.stride == 1 ? fast.extent - row % fast.extent : 1);
    }

private:
    std::array<digit, 3> digits_;
    std::uint64_t offset_ = 0;
};

/// Maps whose rows follow one another.
using row_maps = std::vector<row_map>;

/// Rows 2j and 2j + 1 of every head are rows j and j + head_size / 2 of it in the source: from Hugging Face's rotary
/// embedding, which turns (j, j + head_size / 2), to GGUF's, which turns neighbours.
[[nodiscard]] constexpr row_map interleaved_halves(std::uint64_t heads, std::uint64_t head_size) noexcept {
    return {{heads, head_size}, {head_size / 2, 1}, {2, head_size / 2}};
}

/// Of `matrices` matrices of `pitch` rows each, `rows` rows from `offset` on: a slice out of each.
[[nodiscard]] constexpr row_map slices(std::uint64_t matrices, std::uint64_t pitch, std::uint64_t rows,
                                       std::uint64_t offset) noexcept {
    return {{}, {matrices, pitch}, {rows, 1}, offset};
}

/// As slices, but every second row: what alternates in the source.
[[nodiscard]] constexpr row_map every_second(std::uint64_t matrices, std::uint64_t pitch, std::uint64_t rows,
                                             std::uint64_t offset) noexcept {
    return {{}, {matrices, pitch}, {rows, 2}, offset};
}

/// From heads in groups (all of group 0 first) to heads in turns (the first of every group first), `head_rows` rows
/// each, from the source's row `offset` on.
[[nodiscard]] constexpr row_map interleaved(std::uint64_t groups, std::uint64_t heads_of_group, std::uint64_t head_rows,
                                            std::uint64_t offset) noexcept {
    return {{heads_of_group, head_rows}, {groups, heads_of_group * head_rows}, {head_rows, 1}, offset};
}

}  // namespace tessera::huggingface
