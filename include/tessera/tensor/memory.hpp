// A model in memory: for tests, small programs, and results that never become a file.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tessera/core/bytes.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/metadata.hpp"
#include "tessera/core/tensor_info.hpp"
#include "tessera/tensor/concepts.hpp"
#include "tessera/tensor/decode_rows.hpp"
#include "tessera/tensor/row_counter.hpp"
#include "tessera/tensor/tensor_table.hpp"

namespace tessera {

/// A source of F32 tensors that it owns. Adding a tensor invalidates what tensors() and find() returned.
class memory_source {
public:
    /// Adds a tensor; `dims[0]` is the row length. Throws when the name is taken, there are not 1 to 4 dimensions, one
    /// of them is 0, or their product is not the number of values.
    void add(std::string name, std::span<const std::uint64_t> dims, std::vector<float> values) {
        tensor_info info;
        info.name = std::move(name);
        if (dims.empty() || dims.size() > info.dims.size())
            fail("memory: tensor ", info.name, ": wanted 1 to 4 dimensions, got ", dims.size());
        std::copy(dims.begin(), dims.end(), info.dims.begin());
        info.rank = static_cast<std::uint32_t>(dims.size());
        if (!has_sound_shape(info) || info.weights() == 0 || info.weights() != values.size())
            fail("memory: tensor ", info.name, ": wanted values for ", shape_text(info), ", got ", values.size());

        std::vector<tensor_info> tensors(table_.tensors().begin(), table_.tensors().end());
        tensors.push_back(std::move(info));
        table_ = tensor_table(std::move(tensors), "memory");
        values_.push_back(std::move(values));
    }
    void add(std::string name, std::initializer_list<std::uint64_t> dims, std::vector<float> values) {
        add(std::move(name), std::span<const std::uint64_t>(dims.begin(), dims.size()), std::move(values));
    }

    [[nodiscard]] std::span<const tensor_info> tensors() const noexcept { return table_.tensors(); }
    [[nodiscard]] const tensor_info* find(std::string_view name) const { return table_.find(name); }
    [[nodiscard]] const tessera::metadata& metadata() const noexcept { return metadata_; }
    [[nodiscard]] tessera::metadata& metadata() noexcept { return metadata_; }

    void read(const tensor_info& info, std::uint64_t first_row, std::uint64_t rows, std::span<float> out) const {
        decode_rows<format_list<f32>>(info, rows, packed(info, first_row, rows), out, table_.where());
    }
    [[nodiscard]] byte_view packed(const tensor_info& info, std::uint64_t first_row, std::uint64_t rows) const {
        const std::span<const float> values = values_[table_.locate(info, first_row, rows)];
        return as_byte_view(values.subspan(first_row * info.columns(), rows * info.columns()));
    }

private:
    tensor_table table_;
    std::vector<std::vector<float>> values_;
    tessera::metadata metadata_;
};

/// A sink that keeps the bytes, and is the source of what it has received once it is finished.
template <class Formats = stored_formats>
class basic_memory_sink {
public:
    /// Replaces what the sink held. Throws when two tensors share a name.
    void begin(std::span<const tensor_info> tensors, const tessera::metadata& properties) {
        table_ = tensor_table({tensors.begin(), tensors.end()}, "memory");
        metadata_ = properties;
        written_ = row_counter(tensors.size());
        bytes_.clear();
        for (const tensor_info& info : tensors) bytes_.emplace_back(info.bytes());
    }

    /// Takes whole rows, in any order and from any thread. Throws when they are not rows of an announced tensor.
    void write(const tensor_info& info, std::uint64_t first_row, byte_view bytes) {
        const std::size_t position = table_.locate_bytes(info, first_row, bytes.size());
        std::copy(bytes.begin(), bytes.end(),
                  bytes_[position].begin() + static_cast<std::ptrdiff_t>(first_row * info.row_bytes()));
        written_.add(table_, position, bytes.size() / info.row_bytes());
    }

    /// Throws naming a tensor that lacks rows.
    void finish() { written_.require_complete(table_); }

    [[nodiscard]] std::span<const tensor_info> tensors() const noexcept { return table_.tensors(); }
    [[nodiscard]] const tensor_info* find(std::string_view name) const { return table_.find(name); }
    [[nodiscard]] const tessera::metadata& metadata() const noexcept { return metadata_; }

    void read(const tensor_info& info, std::uint64_t first_row, std::uint64_t rows, std::span<float> out) const {
        decode_rows<Formats>(info, rows, packed(info, first_row, rows), out, table_.where());
    }
    [[nodiscard]] byte_view packed(const tensor_info& info, std::uint64_t first_row, std::uint64_t rows) const {
        const byte_view bytes = bytes_[table_.locate(info, first_row, rows)];
        return bytes.subspan(first_row * info.row_bytes(), rows * info.row_bytes());
    }

private:
    tensor_table table_;
    std::vector<std::vector<std::byte>> bytes_;
    row_counter written_;
    tessera::metadata metadata_;
};

using memory_sink = basic_memory_sink<>;

static_assert(packed_tensor_source<memory_source>);
static_assert(packed_tensor_source<memory_sink> && tensor_sink<memory_sink>);

}  // namespace tessera
