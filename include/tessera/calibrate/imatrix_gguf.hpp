// Importance matrices as GGUF: two F32 tensors per weight, the sums of squares and the tokens they are over.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tessera/calibrate/imatrix_file.hpp"
#include "tessera/core/bytes.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/file_version.hpp"
#include "tessera/core/output_rule.hpp"
#include "tessera/core/tensor_info.hpp"
#include "tessera/gguf/reader.hpp"
#include "tessera/gguf/writer.hpp"

namespace tessera {

namespace detail {

inline constexpr std::string_view imatrix_type = "imatrix";  // of general.type
inline constexpr std::string_view squares_suffix = ".in_sum2";
inline constexpr std::string_view counts_suffix = ".counts";

template <class Reader>
[[nodiscard]] std::vector<float> all_values(const Reader& file, const tensor_info& info) {
    std::vector<float> values(info.weights());
    file.read(info, 0, info.rows(), values);
    return values;
}

// Sums and counts as they lie in the file; the places of both are checked, the means by importance_table.
template <class = void>
[[nodiscard]] tensor_importance mean_squares(std::string_view name, std::vector<float> sums,
                                             std::span<const float> counts) {
    if (sums.size() % counts.size() != 0)
        fail(name, ": wanted sums for each of ", counts.size(), " counts, got ", sums.size());
    tensor_importance entry;
    for (const float count : counts) {
        if (!(count >= 0.0f) || !(count < 0x1p63f)) fail(name, ": wanted a count of tokens, got ", count);
        entry.tokens.push_back(static_cast<std::uint64_t>(std::llround(count)));
    }
    const std::size_t columns = sums.size() / counts.size();
    for (std::size_t i = 0; i < sums.size(); ++i) {
        const auto count = static_cast<double>(entry.tokens[i / columns]);
        if (!std::isfinite(sums[i])) fail(name, ": wanted finite sums, got ", sums[i], " at place ", i);
        sums[i] = count == 0 ? 0.0f : static_cast<float>(double{sums[i]} / count);
    }
    entry.mean_squares = std::move(sums);
    return entry;
}

// What a file says; errors do not name it.
template <class Reader>
[[nodiscard]] imatrix_file imatrix_of(const Reader& file) {
    imatrix_file result;
    for (const auto& [key, value] : file.metadata())
        if (key != "general.type" && key != calibration_version_key && !key.starts_with("imatrix."))
            result.properties.set(std::string(key == old_held_out_windows_key ? held_out_windows_key : key), value);
    const auto number = [&](const char* key, std::uint32_t otherwise) {
        return static_cast<std::uint32_t>(file.metadata().get_count(key).value_or(otherwise));
    };
    require_version(concat("key ", calibration_version_key),
                    file.metadata().get_count(calibration_version_key).value_or(calibration_keys_version),
                    calibration_keys_version);
    result.chunk_count = number("imatrix.chunk_count", 0);
    result.chunk_size = number("imatrix.chunk_size", result.chunk_size);
    if (result.chunk_size == 0) fail("key imatrix.chunk_size: wanted at least 1, got 0");
    result.datasets = file.metadata().get_or("imatrix.datasets", std::vector<std::string>());

    for (const tensor_info& sums : file.tensors()) {
        if (!sums.name.ends_with(squares_suffix)) continue;
        const std::string name = sums.name.substr(0, sums.name.size() - squares_suffix.size());
        const tensor_info* counts = file.find(name + std::string(counts_suffix));
        if (counts == nullptr) fail("tensor ", sums.name, ": wanted ", name, counts_suffix, ", too, got none");
        result.importances.add(
            name, mean_squares(concat("tensor ", sums.name), all_values(file, sums), all_values(file, *counts)));
    }
    for (const tensor_info& counts : file.tensors())
        if (const std::string_view name = counts.name; name.ends_with(counts_suffix))
            if (!result.importances.find(name.substr(0, name.size() - counts_suffix.size())))
                fail("tensor ", name, ": wanted its sums, too, got none");
    if (result.importances.empty() && file.metadata().get_or("general.type", std::string()) != imatrix_type)
        fail("wanted an importance matrix, got a GGUF file of another kind");
    return result;
}

}  // namespace detail

/// Reads an importance matrix in GGUF. Throws, naming the file, when it is none or holds what cannot be.
template <class Formats = stored_formats>
[[nodiscard]] imatrix_file read_imatrix_gguf(const std::filesystem::path& path) {
    const gguf::basic_reader<Formats> file(path);
    try {
        return detail::imatrix_of(file);
    } catch (const error& problem) {
        fail(path.string(), ": ", problem.what());
    }
}

/// Writes an importance matrix that llama.cpp's tools read. Throws as gguf::writer does.
template <class = void>
void write_imatrix_gguf(const std::filesystem::path& path, const imatrix_file& file, const output_rule& rule = {}) {
    using namespace detail;
    metadata properties;
    properties.set("general.type", std::string(imatrix_type));
    properties.set("imatrix.datasets", file.datasets);
    properties.set("imatrix.chunk_count", file.chunk_count);
    properties.set("imatrix.chunk_size", file.chunk_size);
    for (const auto& [key, value] : file.properties) properties.set(key, value);
    properties.set(std::string(calibration_version_key), calibration_keys_version);

    std::vector<tensor_info> tensors;
    const auto announce = [&](std::string name, std::uint64_t columns, std::uint64_t rows) {
        tensors.push_back({.name = std::move(name), .dims = {columns, rows, 1, 1}, .rank = 2});
    };
    for (const auto& [name, entry] : file.importances) {
        const std::size_t matrices = entry.tokens.size();
        announce(concat(name, squares_suffix), entry.mean_squares.size() / matrices, matrices);
        announce(concat(name, counts_suffix), 1, matrices);
    }
    gguf::writer out(path, {.inputs = rule.inputs, .existing = rule.existing, .noted_in = rule.noted_in});
    out.begin(tensors, properties);
    auto next = tensors.begin();
    for (const auto& [name, entry] : file.importances) {
        std::vector<float> sums, counts;
        const std::size_t columns = entry.mean_squares.size() / entry.tokens.size();
        for (const std::uint64_t tokens : entry.tokens) counts.push_back(static_cast<float>(tokens));
        for (std::size_t i = 0; i < entry.mean_squares.size(); ++i)
            sums.push_back(static_cast<float>(double{entry.mean_squares[i]} * double{counts[i / columns]}));
        if (!std::ranges::all_of(sums, [](float sum) { return std::isfinite(sum); }))
            fail(path.string(), ": importances of ", name, ": wanted sums that floats hold, got larger ones");
        out.write(*next++, 0, as_byte_view(std::span(sums)));
        out.write(*next++, 0, as_byte_view(std::span(counts)));
    }
    out.finish();
}

}  // namespace tessera
