// How a model's tensors divide into formats, and what its files take.
#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>
#include <vector>

#include "tessera/core/tensor_info.hpp"

namespace tessera::app {

/// The tensors that share a format.
struct format_share {
    std::string_view name;
    std::uint64_t tensors = 0;
    std::uint64_t weights = 0;
    std::uint64_t bytes = 0;
};

struct model_summary {
    std::vector<format_share> formats;  ///< most bytes first
    std::uint64_t weights = 0;
    std::uint64_t bytes = 0;  ///< of tensor data

    explicit model_summary(std::span<const tensor_info> tensors) {
        for (const tensor_info& info : tensors) {
            const std::string_view name = info.layout.name;
            auto share =
                std::find_if(formats.begin(), formats.end(), [&](const format_share& f) { return f.name == name; });
            if (share == formats.end()) share = formats.insert(share, format_share{.name = name});
            ++share->tensors;
            share->weights += info.weights();
            share->bytes += info.bytes();
            weights += info.weights();
            bytes += info.bytes();
        }
        std::stable_sort(formats.begin(), formats.end(),
                         [](const auto& a, const auto& b) { return a.bytes > b.bytes; });
    }

    [[nodiscard]] double bits_per_weight() const {
        return weights == 0 ? 0.0 : 8.0 * static_cast<double>(bytes) / static_cast<double>(weights);
    }
    /// The format that holds the most weights.
    [[nodiscard]] std::string_view main_format() const {
        const auto most = std::max_element(formats.begin(), formats.end(),
                                           [](const auto& a, const auto& b) { return a.weights < b.weights; });
        return most == formats.end() ? std::string_view("no tensors") : most->name;
    }
};

/// The sizes of a model's files together.
[[nodiscard]] inline std::uint64_t size_on_disk(std::span<const std::filesystem::path> files) {
    std::uint64_t bytes = 0;
    for (const std::filesystem::path& file : files) bytes += std::filesystem::file_size(file);
    return bytes;
}

}  // namespace tessera::app
