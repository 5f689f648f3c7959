// Importances with the text that they are from.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "tessera/app/about.hpp"
#include "tessera/app/options.hpp"
#include "tessera/calibrate/imatrix_file.hpp"
#include "tessera/calibrate/rare_matrices.hpp"
#include "tessera/core/token_windows.hpp"

namespace tessera::app {

struct loaded_importances {
    std::filesystem::path path;
    imatrix_file file;                ///< experts that few tokens reached are blended with the others
    std::uint64_t enough_tokens = 0;  ///< that these lack
    std::vector<rare_matrix> rare;

    /// Windows of the text that they were not made from, for decisions.
    [[nodiscard]] std::optional<token_windows> held_out() const {
        const auto* held_out = file.properties.get<std::vector<std::int32_t>>(held_out_windows_key);
        if (held_out == nullptr || held_out->empty()) return std::nullopt;
        return about(path, [&] { return std::optional(token_windows(*held_out, file.chunk_size)); });
    }
    /// The text that they are from: nothing in files of others.
    [[nodiscard]] std::optional<divided_windows> text() const {
        const auto windows = [&](std::string_view key) { return file.properties.get<std::vector<std::int32_t>>(key); };
        const std::vector<std::int32_t>* used = windows(used_windows_key);
        if (used == nullptr || used->empty()) return std::nullopt;
        return about(path, [&] {
            divided_windows text{{*used, file.chunk_size}};
            text.held_out = held_out();
            return std::optional(std::move(text));
        });
    }
};

/// What encodes a model's weights. The importances may be null.
struct encoding {
    encoder_kind encoder = encoder_kind::nearest;
    const loaded_importances* importances = nullptr;
    feedback_inputs inputs = feedback_inputs::quantized;
    memory_options memory{};

    [[nodiscard]] std::optional<token_windows> held_out() const {
        return importances == nullptr ? std::nullopt : importances->held_out();
    }
};

}  // namespace tessera::app
