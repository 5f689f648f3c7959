// The metadata of a written model: the source's, and what the plan changes about it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "tessera/calibrate/imatrix_file.hpp"
#include "tessera/core/metadata.hpp"
#include "tessera/select/plan.hpp"

namespace tessera {

/// The source's metadata with general.quantization_version and general.file_type as the plan makes them. Where the plan
/// does not name a file type, it is that of the type that most weights of matrices have.
template <class = void>
[[nodiscard]] metadata output_metadata(const metadata& source, const select::plan& plan) {
    metadata properties = source;
    struct share {
        std::uint64_t weights = 0;
        std::optional<std::uint32_t> file_type = {};
    };
    std::map<type_id, share> shares;
    bool quantized = false;
    for (const select::choice& choice : plan.choices) {
        if (choice.target.effective_rank() < 2) continue;
        share& of_type = shares[choice.target.type()];
        of_type.weights += choice.target.weights();
        of_type.file_type = choice.target.layout.stock.file_type;
        quantized = quantized || choice.target.layout.block_size > 1;
    }
    properties.erase("general.file_type");
    const auto most = std::max_element(
        shares.begin(), shares.end(), [](const auto& a, const auto& b) { return a.second.weights < b.second.weights; });
    std::optional<std::uint32_t> file_type = plan.file_type;
    if (!file_type && most != shares.end()) file_type = most->second.file_type;
    if (file_type) properties.set("general.file_type", *file_type);
    if (quantized) properties.set("general.quantization_version", std::uint32_t{2});
    return properties;
}

/// Notes, under llama.cpp's keys, which importance matrix the weights were encoded with.
template <class = void>
void note_importances(metadata& properties, std::string_view path, const imatrix_file& file) {
    const auto cut = [](std::string_view text) {  // as long as stock readers keep, in whole characters
        std::size_t size = std::min<std::size_t>(text.size(), 127);
        while (size > 0 && size < text.size() && (static_cast<unsigned char>(text[size]) & 0xc0) == 0x80) --size;
        return std::string(text.substr(0, size));
    };
    properties.set("quantize.imatrix.file", cut(path));
    if (!file.datasets.empty()) properties.set("quantize.imatrix.dataset", cut(file.datasets.front()));
    properties.set("quantize.imatrix.entries_count", static_cast<std::uint32_t>(file.importances.size()));
    if (file.chunk_count > 0) properties.set("quantize.imatrix.chunks_count", file.chunk_count);
}

}  // namespace tessera
