// Limits as people give them, in the terms the budget strategy thinks in.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "tessera/core/metadata.hpp"
#include "tessera/core/tensor_info.hpp"
#include "tessera/core/tied_table.hpp"
#include "tessera/decoder/architectures.hpp"
#include "tessera/gguf/layout.hpp"
#include "tessera/select/budget.hpp"

namespace tessera {

namespace detail {
// The keys that output_metadata may add count, whatever they will say.
[[nodiscard]] inline std::uint64_t quantized_header_size(std::span<const tensor_info> tensors, metadata properties) {
    properties.set("general.file_type", std::uint32_t{0});
    properties.set("general.quantization_version", std::uint32_t{2});
    return gguf::header_size(tensors, properties);
}
}  // namespace detail

/// The limit of a plan whose whole file, with metadata and padding, is to have at most `bytes` bytes. `properties` are
/// the source's, and whatever else will be written.
[[nodiscard]] inline select::at_most_bytes file_limit(std::uint64_t bytes, std::span<const tensor_info> tensors,
                                                      const metadata& properties) {
    return {.bytes = bytes, .header = detail::quantized_header_size(tensors, properties)};
}

/// The limit of a plan whose tensor data are to have at most so many bits per weight. Throws when that is no number
/// above 0 and at most 64.
[[nodiscard]] inline select::at_most_bytes bits_per_weight_limit(double bits_per_weight,
                                                                 std::span<const tensor_info> tensors) {
    if (!(bits_per_weight > 0.0) || bits_per_weight > 64.0)
        fail("bits per weight: wanted a number above 0 and at most 64, got ", bits_per_weight);
    const auto weights = static_cast<double>(weights_of(tensors));
    return {.bytes = static_cast<std::uint64_t>(std::floor(bits_per_weight * weights / 8.0))};
}

/// Whether a table that is embedding and output may be written twice, and what that adds to the file's header. Only
/// where stock readers of the architecture are known to take an output matrix.
[[nodiscard]] inline select::tied_output tied_output_of(std::span<const tensor_info> tensors,
                                                        const metadata& properties) {
    using enum select::tied_output::copies;
    const tensor_info* table = tied_table(tensors);
    const auto* name = properties.get<std::string>("general.architecture");
    const auto& rows = decoder::architectures;
    const auto row = std::find_if(rows.begin(), rows.end(), [&](const auto& r) { return name && r.name == *name; });
    if (table == nullptr || row == rows.end() || row->always_tied) return {.allowed = one};
    std::vector<tensor_info> twice(tensors.begin(), tensors.end());
    twice.push_back(*table);
    twice.back().name = output_name;
    return {.allowed = one_or_two,
            .header =
                detail::quantized_header_size(twice, properties) - detail::quantized_header_size(tensors, properties)};
}

}  // namespace tessera
