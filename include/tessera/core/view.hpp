// A rectangle of floats in memory that belongs to someone else.
#pragma once

#include <cstddef>
#include <span>

#include "tessera/config.hpp"

namespace tessera {

/// Rows of floats, one after another without gaps: row-major, `rows` x `columns`.
template <class Float>
class basic_matrix_view {
public:
    constexpr basic_matrix_view() = default;
    constexpr basic_matrix_view(std::span<Float> values, std::size_t columns)
        : values_(values), columns_(columns), rows_(columns == 0 ? 0 : values.size() / columns) {
        TESSERA_ASSERT(columns == 0 || values.size() % columns == 0, "a matrix view holds whole rows");
    }
    template <class Other>
    requires std::is_convertible_v<std::span<Other>, std::span<Float>>
    constexpr basic_matrix_view(basic_matrix_view<Other> other) : basic_matrix_view(other.values(), other.columns()) {}

    [[nodiscard]] constexpr std::size_t rows() const noexcept { return rows_; }
    [[nodiscard]] constexpr std::size_t columns() const noexcept { return columns_; }
    [[nodiscard]] constexpr std::span<Float> values() const noexcept { return values_; }
    [[nodiscard]] constexpr std::span<Float> row(std::size_t r) const noexcept {
        return values_.subspan(r * columns_, columns_);
    }

private:
    std::span<Float> values_;
    std::size_t columns_ = 0;
    std::size_t rows_ = 0;
};

using matrix_view = basic_matrix_view<const float>;
using mutable_matrix_view = basic_matrix_view<float>;

}  // namespace tessera
