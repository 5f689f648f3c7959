// Where the rows of a converted tensor come from: permutations and selections as arithmetic, not as tables.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

namespace tessera::model {

/// Maps each of its rows to a row of a source tensor: the row number is read as digits, slowest first, and every digit
/// moves the source row by its stride. Interleaving, splitting and reordering of heads are all of this kind.
class hf_row_map {
public:
    struct digit {
        std::uint64_t extent = 1;
        std::uint64_t stride = 0;
    };

    /// `rows` rows as they are.
    explicit constexpr hf_row_map(std::uint64_t rows) noexcept : digits_{{{}, {}, {rows, 1}}} {}
    constexpr hf_row_map(const digit& slow, const digit& middle, const digit& fast) noexcept
        : digits_{slow, middle, fast} {}

    [[nodiscard]] constexpr std::uint64_t rows() const noexcept {
        return digits_[0].extent * digits_[1].extent * digits_[2].extent;
    }
    /// The source row of `row`. Precondition: row < rows().
    [[nodiscard]] constexpr std::uint64_t operator()(std::uint64_t row) const noexcept {
        const auto& [slow, middle, fast] = digits_;
        const std::uint64_t upper = row / fast.extent;
        return upper / middle.extent * slow.stride + upper % middle.extent * middle.stride +
               row % fast.extent * fast.stride;
    }
    /// How many rows from `row` on, at most `limit`, follow each other in the source, too. At least 1.
    [[nodiscard]] constexpr std::uint64_t run(std::uint64_t row, std::uint64_t limit) const noexcept {
        const digit& fast = digits_[2];
        return std::min(limit, fast.stride == 1 ? fast.extent - row % fast.extent : 1);
    }

private:
    std::array<digit, 3> digits_;
};

/// Rows 2j and 2j + 1 of every head are rows j and j + head_size / 2 of it in the source: from Hugging Face's rotary
/// embedding, which turns (j, j + head_size / 2), to GGUF's, which turns neighbours.
[[nodiscard]] constexpr hf_row_map interleaved_halves(std::uint64_t heads, std::uint64_t head_size) noexcept {
    return {{heads, head_size}, {head_size / 2, 1}, {2, head_size / 2}};
}

}  // namespace tessera::model
