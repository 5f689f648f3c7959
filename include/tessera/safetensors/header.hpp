// The header of a safetensors file: 8 bytes of length, then JSON that says where each tensor lies in the data after it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "tessera/core/bytes.hpp"
#include "tessera/core/checked.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/foreign_file.hpp"
#include "tessera/core/metadata.hpp"
#include "tessera/core/tensor_info.hpp"
#include "tessera/json/parse.hpp"
#include "tessera/safetensors/dtype.hpp"

namespace tessera::safetensors {

/// A tensor as one file holds it: `info` in GGUF's order of dimensions, its bytes from `offset` of the file on.
struct stored_tensor {
    tensor_info info;
    const dtype* element = nullptr;
    std::uint64_t offset = 0;

    [[nodiscard]] std::uint64_t row_bytes() const noexcept { return info.columns() * element->bytes; }
    [[nodiscard]] std::uint64_t bytes() const noexcept { return info.weights() * element->bytes; }
};

struct header {
    std::vector<stored_tensor> tensors;  ///< in the order of their bytes
    tessera::metadata properties;        ///< `__metadata__`: strings
};

/// The longest header that is read, as in the format's reference implementation.
inline constexpr std::uint64_t max_header_bytes = 100'000'000;

namespace detail {

// A JSON array of unsigned integers, or nothing.
inline std::optional<std::vector<std::uint64_t>> unsigned_list(const nlohmann::json& object, const char* key) {
    const auto found = object.find(key);
    if (found == object.end() || !found->is_array()) return std::nullopt;
    std::vector<std::uint64_t> list;
    for (const nlohmann::json& value : *found) {
        if (!value.is_number_unsigned()) return std::nullopt;
        list.push_back(value.get<std::uint64_t>());
    }
    return list;
}

// Sets the dimensions from a shape, slowest axis first. More than four axes keep their rows: the slowest are folded.
inline void set_shape(tensor_info& info, const std::vector<std::uint64_t>& shape, std::string_view place) {
    info.rank = static_cast<std::uint32_t>(std::min(shape.size(), info.dims.size()));
    std::optional<std::uint64_t> weights = 1;
    for (std::size_t axis = 0; axis < shape.size() && weights && *weights != 0; ++axis) {
        const std::uint64_t extent = shape[shape.size() - 1 - axis];
        weights = checked_multiply(*weights, extent);
        info.dims[std::min(axis, info.dims.size() - 1)] *= extent;  // divides *weights
    }
    if (!weights || *weights == 0 || !has_sound_shape(info)) fail(place, "wanted a shape of 1 to 2^59 weights");
}

// `offset` is still relative to the data.
inline stored_tensor parse_tensor(const std::string& name, const nlohmann::json& entry, std::string_view where) {
    if (name.empty() || name.find('\0') != std::string::npos)
        fail(where, ": wanted tensor names without zero bytes, got ", name.empty() ? "an empty one" : name.c_str());
    const std::string place = concat(where, ": tensor ", name, ": ");
    if (!entry.is_object()) fail(place, "wanted an object, got ", entry.type_name());

    stored_tensor tensor;
    tensor.info.name = name;
    const auto element = entry.find("dtype");
    if (element == entry.end() || !element->is_string()) fail(place, "wanted dtype to be a string");
    tensor.element = find_dtype(element->get_ref<const std::string&>());
    if (tensor.element == nullptr) fail(place, "wanted a known dtype, got ", element->get_ref<const std::string&>());
    tensor.info.layout = tensor.element->layout;

    const auto shape = unsigned_list(entry, "shape");
    if (!shape) fail(place, "wanted shape to be an array of unsigned integers");
    set_shape(tensor.info, *shape, place);

    const auto offsets = unsigned_list(entry, "data_offsets");
    if (!offsets || offsets->size() != 2) fail(place, "wanted data_offsets to be two unsigned integers");
    const auto [begin, end] = std::pair((*offsets)[0], (*offsets)[1]);
    if (begin > end || end - begin != tensor.bytes())
        fail(place, "wanted data_offsets ", tensor.bytes(), " bytes apart, got ", begin, " and ", end);
    tensor.offset = begin;
    return tensor;
}

}  // namespace detail

/// Reads the header of a file. Throws tessera::error naming `where` and the tensor when anything is not as the format
/// has it: the bytes after the header must be exactly those of the tensors, without gaps or overlaps.
[[nodiscard]] inline header parse_header(byte_view file, std::string_view where) {
    constexpr std::uint64_t prefix = sizeof(std::uint64_t);
    if (file.size() < prefix) {
        refuse_foreign(file, where, "a safetensors file");
        fail(where, ": wanted at least ", prefix, " bytes, got ", file.size());
    }
    const auto length = load_bytes<std::uint64_t>(file.data());
    if (length > max_header_bytes || length > file.size() - prefix) {
        refuse_foreign(file, where, "a safetensors file");
        fail(where, ": wanted a header of at most ", std::min<std::uint64_t>(max_header_bytes, file.size() - prefix),
             " bytes, got ", length);
    }

    // Header, entry, shape: three levels.
    const std::string_view text(reinterpret_cast<const char*>(file.data()) + prefix, length);
    const nlohmann::json json = parse_json(text, where, {.depth = 3});
    if (!json.is_object()) fail(where, ": wanted the header to be an object, got ", json.type_name());

    header result;
    for (const auto& [name, entry] : json.items()) {
        if (name != "__metadata__") {
            result.tensors.push_back(detail::parse_tensor(name, entry, where));
            continue;
        }
        if (!entry.is_object()) fail(where, ": wanted __metadata__ to be an object, got ", entry.type_name());
        for (const auto& [key, value] : entry.items()) {
            if (!value.is_string())
                fail(where, ": __metadata__: wanted ", key, " to be a string, got ", value.type_name());
            result.properties.set(key, value.get<std::string>());
        }
    }

    std::stable_sort(result.tensors.begin(), result.tensors.end(),
                     [](const stored_tensor& a, const stored_tensor& b) { return a.offset < b.offset; });
    const std::uint64_t data = prefix + length;
    const std::uint64_t available = file.size() - data;
    std::uint64_t end = 0;
    for (stored_tensor& tensor : result.tensors) {
        const std::string place = concat(where, ": tensor ", tensor.info.name, ": ");
        if (tensor.offset != end)
            fail(place, "wanted its data at ", end, ", where the tensor before ends, got ", tensor.offset);
        if (tensor.bytes() > available - end)
            fail(place, "wanted ", tensor.bytes(), " bytes at ", end, " of the data, got a file with ", available);
        end += tensor.bytes();
        tensor.offset += data;
    }
    if (end != available) fail(where, ": wanted ", end, " bytes of data, got ", available);
    return result;
}

}  // namespace tessera::safetensors
