// How much of each tensor a sink has received.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/tensor/tensor_table.hpp"

namespace tessera {

/// Counts the rows written per tensor, from any thread. It knows how many came, not which: a row written twice shows
/// when the count passes the number of rows.
class row_counter {
public:
    row_counter() = default;
    explicit row_counter(std::size_t tensors) : written_(tensors) {}

    /// Notes `rows` more rows of the tensor at `position`. Throws when that makes more than the tensor has.
    void add(const tensor_table& table, std::size_t position, std::uint64_t rows) {
        const tensor_info& info = table.tensors()[position];
        const std::uint64_t total = written_[position].fetch_add(rows, std::memory_order_relaxed) + rows;
        if (total > info.rows())
            fail(table.where(), ": tensor ", info.name, ": wanted each of its ", info.rows(), " rows once, got ",
                 total);
    }

    /// Throws naming the first tensor that lacks rows.
    void require_complete(const tensor_table& table) const {
        for (std::size_t t = 0; t < written_.size(); ++t) {
            const tensor_info& info = table.tensors()[t];
            const std::uint64_t total = written_[t].load(std::memory_order_relaxed);
            if (total != info.rows())
                fail(table.where(), ": tensor ", info.name, ": wanted ", info.rows(), " rows before the end, got ",
                     total);
        }
    }

private:
    std::vector<std::atomic<std::uint64_t>> written_;
};

}  // namespace tessera
