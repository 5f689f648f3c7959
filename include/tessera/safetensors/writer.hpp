// Writes a safetensors file.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <nlohmann/json.hpp>

#include "tessera/core/bytes.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/half.hpp"
#include "tessera/core/metadata.hpp"
#include "tessera/core/output_file.hpp"
#include "tessera/core/output_rule.hpp"
#include "tessera/core/tensor_info.hpp"
#include "tessera/safetensors/dtype.hpp"
#include "tessera/tensor/concepts.hpp"

namespace tessera::safetensors {

namespace detail {

// Length and JSON, padded with spaces so that the data starts at a multiple of 8.
inline std::string header_bytes(std::span<const tensor_info> tensors, const metadata& properties,
                                std::string_view where) {
    nlohmann::json json;
    json["__metadata__"]["format"] = "pt";  // what Hugging Face's loaders insist on
    for (const auto& [key, value] : properties)
        if (const auto* text = std::get_if<std::string>(&value)) json["__metadata__"][key] = *text;
    std::uint64_t offset = 0;
    for (const tensor_info& info : tensors) {
        const bool is_float =
            info.type() == type_id::f32 || info.type() == type_id::f16 || info.type() == type_id::bf16;
        if (!is_float) fail(where, ": tensor ", info.name, ": wanted F32, F16 or BF16, got ", info.layout.name);
        if (json.contains(info.name)) fail(where, ": tensor ", info.name, ": wanted unique names, got this one twice");
        std::vector<std::uint64_t> shape(info.dims.begin(), info.dims.begin() + info.rank);
        std::reverse(shape.begin(), shape.end());
        json[info.name] = {
            {"dtype", info.layout.name}, {"shape", shape}, {"data_offsets", {offset, offset + info.bytes()}}};
        offset += info.bytes();
    }
    std::string text;
    try {
        text = json.dump();
    } catch (const nlohmann::json::exception& e) {
        fail(where, ": wanted names and metadata in UTF-8, got: ", e.what());
    }
    text.resize((text.size() + 7) / 8 * 8, ' ');
    const auto length = static_cast<std::uint64_t>(text.size());
    std::string bytes(sizeof length, '\0');
    std::memcpy(bytes.data(), &length, sizeof length);
    return bytes + text;
}

// A copy of `values` in the type of a tensor that is F32, F16 or BF16.
inline std::vector<std::byte> narrow(std::span<const float> values, type_id type) {
    const auto convert = [&]<class Stored>(Stored) {
        std::vector<std::byte> bytes(values.size() * sizeof(Stored));
        for (std::size_t i = 0; i < values.size(); ++i) {
            const auto value = static_cast<Stored>(values[i]);
            std::memcpy(bytes.data() + i * sizeof value, &value, sizeof value);
        }
        return bytes;
    };
    if (type == type_id::f16) return convert(half());
    if (type == type_id::bf16) return convert(bfloat16());
    return convert(float());
}

}  // namespace detail

/// Writes every tensor of `source` into one file, in the source's order, types and names, with its metadata's strings.
/// The file appears under its name when it is complete. Throws when a tensor is not F32, F16 or BF16, when two share a
/// name, or when the file cannot or must not be written.
template <tensor_source Source>
void write(const std::filesystem::path& path, const Source& source,
           const output_rule& rule = {.existing = existing_file::replace}) {
    require_destination(path, rule);
    const std::span<const tensor_info> tensors = source.tensors();
    const std::string header = detail::header_bytes(tensors, source.metadata(), path.string());
    std::uint64_t offset = header.size(), size = offset;
    for (const tensor_info& info : tensors) size += info.bytes();
    output_file file(path, size);
    file.write_at(0, std::as_bytes(std::span(header)));
    std::vector<float> values;
    for (const tensor_info& info : tensors) {
        const std::uint64_t step = std::max<std::uint64_t>(1, (1 << 20) / std::max<std::uint64_t>(1, info.columns()));
        for (std::uint64_t row = 0; row < info.rows(); row += step) {
            const std::uint64_t rows = std::min(step, info.rows() - row);
            byte_view bytes;
            if constexpr (packed_tensor_source<Source>) bytes = source.packed(info, row, rows);
            std::vector<std::byte> narrowed;
            if (bytes.empty()) {
                values.resize(rows * info.columns());
                source.read(info, row, rows, values);
                narrowed = detail::narrow(values, info.type());
                bytes = narrowed;
            }
            file.write_at(offset, bytes);
            offset += bytes.size();
        }
    }
    file.sync();
    require_destination(path, rule);
    file.publish();
    sync_folder(folder_of(path));
}

}  // namespace tessera::safetensors
