// Models that use one table for embeddings and output.
#pragma once

#include <span>
#include <string_view>

#include "tessera/core/tensor_info.hpp"

namespace tessera {

inline constexpr std::string_view embedding_name = "token_embd.weight";
inline constexpr std::string_view output_name = "output.weight";

/// The embedding table of a model that has no output.weight and so uses it as output, too; null when the model has both
/// or no table.
[[nodiscard]] inline const tensor_info* tied_table(std::span<const tensor_info> tensors) noexcept {
    const tensor_info* table = nullptr;
    for (const tensor_info& info : tensors) {
        if (info.name == output_name) return nullptr;
        if (info.name == embedding_name) table = &info;
    }
    return table;
}

}  // namespace tessera
