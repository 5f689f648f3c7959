// Other weights in front of a model's own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <utility>
#include <vector>

#include "tessera/config.hpp"
#include "tessera/core/metadata.hpp"
#include "tessera/core/tensor_info.hpp"
#include "tessera/tensor/concepts.hpp"

namespace tessera {

/// A source whose tensors can be exchanged, one by one and while others hold on to it: for candidates that are measured
/// without becoming a file. Names and shapes stay. The base must outlive it.
template <tensor_source Source>
class overlay_source {
public:
    /// Fills `out` with `rows` rows of the tensor; called from several threads.
    using row_reader =
        std::function<void(const tensor_info& info, std::uint64_t first_row, std::uint64_t rows, std::span<float> out)>;

    explicit overlay_source(const Source& base) : base_(&base), readers_(base.tensors().size()) {}

    /// From now on rows of `info`, a tensor of the base, come from `reader`; an empty one brings the base's back. Not
    /// while somebody reads.
    void replace(const tensor_info& info, row_reader reader) { readers_[position(info)] = std::move(reader); }

    [[nodiscard]] const Source& base() const noexcept { return *base_; }
    [[nodiscard]] std::span<const tensor_info> tensors() const { return base_->tensors(); }
    [[nodiscard]] const tessera::metadata& metadata() const { return base_->metadata(); }
    void read(const tensor_info& info, std::uint64_t first_row, std::uint64_t rows, std::span<float> out) const {
        const row_reader& reader = readers_[position(info)];
        return reader ? reader(info, first_row, rows, out) : base_->read(info, first_row, rows, out);
    }

private:
    [[nodiscard]] std::size_t position(const tensor_info& info) const {
        const std::ptrdiff_t at = &info - tensors().data();
        TESSERA_ASSERT(at >= 0 && static_cast<std::size_t>(at) < readers_.size(), "a tensor of this source");
        return static_cast<std::size_t>(at);
    }

    const Source* base_;
    std::vector<row_reader> readers_;
};

}  // namespace tessera
