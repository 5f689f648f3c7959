// From the bytes of a file to metadata and tensor infos, each of them checked.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "tessera/core/bytes.hpp"
#include "tessera/core/checked.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/foreign_file.hpp"
#include "tessera/core/metadata.hpp"
#include "tessera/core/tensor_info.hpp"
#include "tessera/core/type_id.hpp"
#include "tessera/format/builtin.hpp"
#include "tessera/gguf/cursor.hpp"
#include "tessera/gguf/layout.hpp"
#include "tessera/gguf/rules.hpp"
#include "tessera/gguf/value.hpp"

namespace tessera::gguf {

/// What stands before the data of one file.
struct header {
    std::uint32_t version = 0;
    std::uint32_t alignment = default_alignment;
    tessera::metadata properties;
    std::vector<tensor_info> tensors;
    std::vector<std::uint64_t> offsets;  ///< of each tensor's bytes, from the start of the file
};

namespace detail {

// A header holds names, shapes and a vocabulary: some 10 MB where that is large. No header is read beyond this many
// bytes, however long the file: a hostile one, which could be all empty strings, costs about a gigabyte at most.
inline constexpr std::uint64_t max_header_bytes = std::uint64_t{1} << 28;
inline constexpr std::uint64_t least_entry_bytes = 8 + 4 + 1;       // empty key, type, one byte
inline constexpr std::uint64_t least_tensor_bytes = 8 + 4 + 4 + 8;  // empty name, rank 0, type, offset

inline std::uint32_t take_version(cursor& in) {
    const std::string_view found = as_text(in.take_bytes(magic.size(), "magic"));
    if (found != magic) fail(in.where(), ": magic: wanted ", magic, ", got ", excerpt(found));
    const auto version = in.take<std::uint32_t>("version");
    if (version != 0 && (version & 0xffffu) == 0)
        fail(in.where(), ": version: wanted a little-endian file, got a big-endian one");
    if (version != 2 && version != 3) fail(in.where(), ": version: wanted 2 or 3, got ", version);
    return version;
}

template <class = void>
tessera::metadata take_metadata(cursor& in, std::uint64_t entries) {
    tessera::metadata properties;
    for (std::uint64_t i = 0; i < entries; ++i) {
        const std::string_view key = in.take_text(concat("key ", i, " of ", entries));
        require_key(in.where(), key);
        const std::string what = "key " + excerpt(key);
        if (properties.contains(key)) fail(in.where(), ": ", what, ": wanted unique keys, got this one twice");
        properties.set(std::string(key), take_value(in, what));
    }
    return properties;
}

inline std::uint32_t alignment_of(const tessera::metadata& properties, std::string_view where) {
    const metadata_value* value = properties.find(alignment_key);
    if (value == nullptr) return default_alignment;
    const auto* alignment = std::get_if<std::uint32_t>(value);
    if (alignment == nullptr) fail(where, ": key ", alignment_key, ": wanted uint32, got ", type_name(*value));
    if (!std::has_single_bit(*alignment))
        fail(where, ": key ", alignment_key, ": wanted a power of two, got ", *alignment);
    return *alignment;
}

template <class Formats>
type_layout layout_of_type(std::uint32_t number, std::string_view where, std::string_view what) {
    const type_id id{number};
    const type_layout* layout = Formats::find(id);
    if (layout == nullptr) layout = find_type(id);
    if (layout == nullptr) fail(where, ": ", what, ": wanted a known tensor type, got ", number);
    return *layout;
}

// A tensor's entry, and the offset that it claims.
template <class Formats>
std::pair<tensor_info, std::uint64_t> take_tensor(cursor& in, std::string_view position) {
    tensor_info info;
    info.name = in.take_text(position);
    require_name(in.where(), info.name);
    const std::string what = "tensor " + excerpt(info.name);
    info.rank = in.take<std::uint32_t>(what);
    require_rank(in.where(), info);
    for (std::uint32_t d = 0; d < info.rank; ++d) info.dims[d] = in.take<std::uint64_t>(what);
    info.layout = layout_of_type<Formats>(in.take<std::uint32_t>(what), in.where(), what);
    require_shape(in.where(), info);
    return {std::move(info), in.take<std::uint64_t>(what)};
}

}  // namespace detail

/// Reads and checks the header of a whole file. Types are looked up in `Formats` first, then among all that GGUF knows.
/// Throws tessera::error, starting with `where`, at the first thing that is wrong; tensor names may still repeat.
template <class Formats>
[[nodiscard]] header parse_header(byte_view file, const std::string& where) {
    if (!as_text(file).starts_with(magic)) refuse_foreign(file, where, "a GGUF file");
    cursor in(file.first(std::min<std::uint64_t>(file.size(), detail::max_header_bytes)), where);
    header parsed;
    parsed.version = detail::take_version(in);
    const auto tensors = in.take<std::uint64_t>("tensor count");
    const auto entries = in.take_count(detail::least_entry_bytes, "metadata count");
    if (tensors > in.left() / detail::least_tensor_bytes)
        fail(where, ": tensor count: wanted what ", in.left(), " bytes can hold, got ", tensors);
    parsed.properties = detail::take_metadata(in, entries);
    parsed.alignment = detail::alignment_of(parsed.properties, where);

    const auto require_inside = [&](const tensor_info& info, std::uint64_t offset) {
        if (offset > file.size() || info.bytes() > file.size() - offset)
            fail(where, ": tensor ", excerpt(info.name), ": wanted ", info.bytes(), " bytes at offset ", offset,
                 ", got a file of ", file.size());
    };
    std::uint64_t expected = 0;  // from the start of the data: each tensor follows the one before
    for (std::uint64_t t = 0; t < tensors; ++t) {
        auto [info, offset] = detail::take_tensor<Formats>(in, concat("tensor ", t, " of ", tensors));
        if (offset != expected)
            fail(where, ": tensor ", excerpt(info.name), ": wanted offset ", expected, ", got ", offset);
        require_inside(info, offset);  // hence the sum is at most the size of the file
        expected = *checked_align(offset + info.bytes(), parsed.alignment);
        parsed.tensors.push_back(std::move(info));
        parsed.offsets.push_back(offset);
    }
    const std::uint64_t data = *checked_align(in.position(), parsed.alignment);
    for (std::size_t t = 0; t < parsed.tensors.size(); ++t) {
        parsed.offsets[t] += data;
        require_inside(parsed.tensors[t], parsed.offsets[t]);
    }
    return parsed;
}

}  // namespace tessera::gguf
