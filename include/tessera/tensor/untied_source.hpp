// A model whose output matrix is a tensor of its own.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "tessera/core/metadata.hpp"
#include "tessera/core/tensor_info.hpp"
#include "tessera/core/tied_table.hpp"
#include "tessera/tensor/concepts.hpp"

namespace tessera {

/// A source in which a table that is embedding and output at once is there twice, under both names: so that each role
/// can be looked at, changed and encoded by itself. Other models stay as they are. The base must outlive it.
template <tensor_source Source>
class untied_source {
public:
    explicit untied_source(const Source& base) : base_(&base), tensors_(base.tensors().begin(), base.tensors().end()) {
        if (const tensor_info* table = tied_table(tensors_)) {
            table_ = static_cast<std::size_t>(table - tensors_.data());
            tensors_.push_back(*table);
            tensors_.back().name = output_name;
        }
    }

    [[nodiscard]] std::span<const tensor_info> tensors() const noexcept { return tensors_; }
    [[nodiscard]] const tessera::metadata& metadata() const { return base_->metadata(); }
    void read(const tensor_info& info, std::uint64_t first_row, std::uint64_t rows, std::span<float> out) const {
        base_->read(stored(info), first_row, rows, out);
    }

    /// The tensor that `info` is in the base.
    [[nodiscard]] const tensor_info& stored(const tensor_info& info) const {
        return table_ && info.name == output_name ? tensors_[*table_] : info;
    }
    /// Whether the table was tied.
    [[nodiscard]] bool was_tied() const noexcept { return table_.has_value(); }

private:
    const Source* base_;
    std::vector<tensor_info> tensors_;
    std::optional<std::size_t> table_;  // place of the table that is there twice
};

}  // namespace tessera
