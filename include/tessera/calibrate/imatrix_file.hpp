// What an importance-matrix file says, whichever of llama.cpp's two formats it is in.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tessera/calibrate/importance_table.hpp"
#include "tessera/core/metadata.hpp"

namespace tessera {

/// Importances and where they come from.
struct imatrix_file {
    importance_table importances{};
    std::vector<std::string> datasets{};  ///< names of the texts
    std::uint32_t chunk_size = 512;       ///< tokens in a window; legacy files do not say: llama.cpp's default
    std::uint32_t chunk_count = 0;        ///< windows
    metadata properties{};                ///< other keys; lost in the legacy format
};

/// Of the keys that begin with `tessera.calibration`, as they are written; a file without it is read as version 1.
inline constexpr std::uint32_t calibration_keys_version = 1;
inline constexpr std::string_view calibration_version_key = "tessera.calibration.version";
/// Where `properties` keep the windows that importances are from: whole windows of token ids.
inline constexpr std::string_view used_windows_key = "tessera.calibration.used";
/// Where `properties` keep the windows that were held out of calibration: whole windows of token ids.
inline constexpr std::string_view held_out_windows_key = "tessera.calibration.held_out";
/// The same in files of earlier versions. What reads a file gives it the name of today.
inline constexpr std::string_view old_held_out_windows_key = "tessera.calibration.held_back";

namespace detail {

/// Windows of `chunk_size` tokens that the most used matrix of an entry saw.
[[nodiscard]] inline std::uint64_t chunks_of(const tensor_importance& entry, std::uint32_t chunk_size) {
    const std::uint64_t most = *std::ranges::max_element(entry.tokens);
    return most / chunk_size + (most % chunk_size != 0 ? 1 : 0);
}

}  // namespace detail

}  // namespace tessera
