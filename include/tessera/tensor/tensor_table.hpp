// The tensors of one source or sink, found and checked by name.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/core/tensor_index.hpp"
#include "tessera/core/tensor_info.hpp"

namespace tessera {

/// "Q8_0 [512, 256]": type and dimensions of a tensor, for messages.
[[nodiscard]] inline std::string shape_text(const tensor_info& info) {
    std::string text = std::string(info.layout.name) + " [";
    for (std::uint32_t d = 0; d < info.effective_rank(); ++d) text += (d ? ", " : "") + std::to_string(info.dims[d]);
    return text + "]";
}

/// An immutable list of tensors with unique names. Sources and sinks keep theirs in one, so that all of them refuse a
/// foreign tensor or a row outside in the same words.
class tensor_table {
public:
    tensor_table() = default;

    /// Throws when two tensors share a name; `where` starts every message.
    tensor_table(std::vector<tensor_info> tensors, std::string where)
        : tensors_(std::move(tensors)), index_(tensors_, where), where_(std::move(where)) {}

    [[nodiscard]] std::span<const tensor_info> tensors() const noexcept { return tensors_; }
    [[nodiscard]] const std::string& where() const noexcept { return where_; }

    /// The tensor of this name, or null.
    [[nodiscard]] const tensor_info* find(std::string_view name) const {
        const std::size_t position = index_.find(name);
        return position == tensor_index::npos ? nullptr : &tensors_[position];
    }

    /// The position of `info` in tensors(). Throws when the table has no tensor of that name, shape and type, or when
    /// [first_row, first_row + rows) reaches outside of it.
    [[nodiscard]] std::size_t locate(const tensor_info& info, std::uint64_t first_row, std::uint64_t rows) const {
        const std::size_t position = index_.find(info.name);
        if (position == tensor_index::npos)
            fail(where_, ": tensor ", info.name, ": wanted one of its ", tensors_.size(),
                 " tensors, got a name it does not have");
        const tensor_info& own = tensors_[position];
        if (own.dims != info.dims || own.type() != info.type())
            fail(where_, ": tensor ", info.name, ": wanted ", shape_text(own), ", got ", shape_text(info));
        if (first_row > own.rows() || rows > own.rows() - first_row)
            fail(where_, ": tensor ", info.name, ": wanted rows below ", own.rows(), ", got ", rows, " rows from row ",
                 first_row);
        return position;
    }

    /// As locate, for the rows that `bytes` bytes make. Throws, too, when these are not whole rows.
    [[nodiscard]] std::size_t locate_bytes(const tensor_info& info, std::uint64_t first_row,
                                           std::uint64_t bytes) const {
        const std::size_t position = locate(info, first_row, 0);
        const std::uint64_t row_bytes = tensors_[position].row_bytes();
        if (row_bytes == 0 || bytes % row_bytes != 0)
            fail(where_, ": tensor ", info.name, ": wanted whole rows of ", row_bytes, " bytes, got ", bytes);
        return locate(info, first_row, bytes / row_bytes);
    }

private:
    std::vector<tensor_info> tensors_;
    tensor_index index_;
    std::string where_;
};

}  // namespace tessera
