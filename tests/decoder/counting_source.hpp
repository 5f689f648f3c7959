// A source that counts what is read from it.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "tessera/core/metadata.hpp"
#include "tessera/core/tensor_info.hpp"

namespace support {

/// Passes everything on to another source and counts how often each row of each tensor is read.
template <class Source>
class counting_source {
public:
    explicit counting_source(const Source& source) : source_(source) {}
    [[nodiscard]] std::span<const tessera::tensor_info> tensors() const { return source_.tensors(); }
    [[nodiscard]] const tessera::metadata& metadata() const { return source_.metadata(); }
    void read(const tessera::tensor_info& info, std::uint64_t first_row, std::uint64_t rows,
              std::span<float> out) const {
        source_.read(info, first_row, rows, out);
        const std::lock_guard lock(mutex_);
        auto& counts = reads_[info.name];
        counts.resize(info.rows());
        for (std::uint64_t r = first_row; r < first_row + rows; ++r) ++counts[r];
    }
    /// The counts since the last call.
    std::map<std::string, std::vector<int>> take() const { return std::exchange(reads_, {}); }

private:
    const Source& source_;
    mutable std::mutex mutex_;
    mutable std::map<std::string, std::vector<int>> reads_;
};

}  // namespace support
