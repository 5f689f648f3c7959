// Matrices of activations and how work on their rows is shared out.
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>

#include <Eigen/Core>

#include "tessera/core/parallel.hpp"
#include "tessera/core/view.hpp"

namespace tessera::decoder {

/// Activations: one row per token. Row-major, as GGUF's weights are.
using matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using matrix_map = Eigen::Map<matrix>;
using const_matrix_map = Eigen::Map<const matrix>;

[[nodiscard]] inline const_matrix_map map(matrix_view view) {
    return {view.values().data(), static_cast<Eigen::Index>(view.rows()), static_cast<Eigen::Index>(view.columns())};
}
[[nodiscard]] inline matrix_map map(mutable_matrix_view view) {
    return {view.values().data(), static_cast<Eigen::Index>(view.rows()), static_cast<Eigen::Index>(view.columns())};
}
[[nodiscard]] inline std::span<float> row(matrix& m, Eigen::Index r) {
    return {m.row(r).data(), static_cast<std::size_t>(m.cols())};
}

/// Calls body(first_row, rows) for blocks that together cover [0, rows), on several threads.
template <class Body>
void for_each_row_block(Eigen::Index rows, int threads, Body&& body) {
    constexpr Eigen::Index block_rows = 64;  // enough work to hide what starting it costs
    const auto blocks = static_cast<std::size_t>((rows + block_rows - 1) / block_rows);
    parallel_for(blocks, threads, [&](std::size_t b) {
        const Eigen::Index first = static_cast<Eigen::Index>(b) * block_rows;
        body(first, std::min(block_rows, rows - first));
    });
}

/// Keeps Eigen's own threads out of matrix products while it lives: work is shared out above them, and in the same
/// parts whatever the number of threads. The setting is global in Eigen and is put back at the end.
class serial_products {
public:
    serial_products() : before_(Eigen::nbThreads()) { Eigen::setNbThreads(1); }
    serial_products(const serial_products&) = delete;
    serial_products& operator=(const serial_products&) = delete;
    ~serial_products() { Eigen::setNbThreads(before_); }

private:
    int before_;
};

}  // namespace tessera::decoder
