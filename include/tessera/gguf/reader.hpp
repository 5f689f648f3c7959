// A GGUF model as a source of tensors: one file, or all files of a split one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tessera/core/bytes.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/mapped_file.hpp"
#include "tessera/core/metadata.hpp"
#include "tessera/core/tensor_info.hpp"
#include "tessera/gguf/header.hpp"
#include "tessera/gguf/shard_name.hpp"
#include "tessera/gguf/split.hpp"
#include "tessera/tensor/concepts.hpp"
#include "tessera/tensor/decode_rows.hpp"
#include "tessera/tensor/tensor_table.hpp"

namespace tessera::gguf {

/// Opens a GGUF file of version 2 or 3, or a split model by its first file, and maps all of it read-only. Nothing in
/// the files is trusted: the first thing that is wrong throws tessera::error naming the file. Reading is thread-safe.
/// Tensors of types that `Formats` lacks can be copied with packed(), but not decoded with read().
template <class Formats = stored_formats>
class basic_reader {
public:
    /// `path` is a single file, or the first of several: `<prefix>-00001-of-<count>.gguf`.
    explicit basic_reader(const std::filesystem::path& path) {
        const std::string where = path.string();
        std::vector<tensor_info> tensors;
        header first = open(path, tensors);
        if (const std::uint16_t* number = find_split(first.properties, split_number, where); number && *number != 0)
            fail(where, ": wanted the first file of a split model (-00001-of-), got number ", *number + 1);
        if (const std::uint16_t* count = find_split(first.properties, split_count, where); count && *count > 1)
            open_others(path, first.properties, *count, tensors);

        alignment_ = first.alignment;
        metadata_ = std::move(first.properties);
        erase_split(metadata_);
        table_ = tensor_table(std::move(tensors), where);
    }

    /// All tensors, in the order of the files.
    [[nodiscard]] std::span<const tensor_info> tensors() const noexcept { return table_.tensors(); }
    /// The tensor of this name, or null.
    [[nodiscard]] const tensor_info* find(std::string_view name) const { return table_.find(name); }
    /// The metadata of the first file, without the keys that describe the split.
    [[nodiscard]] const tessera::metadata& metadata() const noexcept { return metadata_; }
    /// The paths of the model's files: one, or all of a split model in order.
    [[nodiscard]] const std::vector<std::filesystem::path>& files() const noexcept { return files_; }
    /// The alignment of tensor data in the first file, in bytes.
    [[nodiscard]] std::uint32_t alignment() const noexcept { return alignment_; }

    /// Decodes `rows` rows into `out`, rows * columns floats. Throws when `info` is no tensor of this model, the rows
    /// are not all in it, or its type is not in `Formats`.
    void read(const tensor_info& info, std::uint64_t first_row, std::uint64_t rows, std::span<float> out) const {
        decode_rows<Formats>(info, rows, packed(info, first_row, rows), out, table_.where());
        constexpr std::uint64_t large = 1 << 18;  // smaller ones share pages with what other threads read
        if (rows * info.row_bytes() >= large) release(info, first_row, rows);
    }

    /// The bytes of `rows` rows as they lie in the file. The view lives as long as the reader. Throws as read() does,
    /// but takes every type.
    [[nodiscard]] byte_view packed(const tensor_info& info, std::uint64_t first_row, std::uint64_t rows) const {
        const location& at = locations_[table_.locate(info, first_row, rows)];
        return maps_[at.file].bytes().subspan(at.offset + first_row * info.row_bytes(), rows * info.row_bytes());
    }

    /// Lets the system take back the memory of rows that are done with; they can be read again. read() does this by
    /// itself, users of packed() who walk over a large model do it here.
    void release(const tensor_info& info, std::uint64_t first_row, std::uint64_t rows) const {
        const location& at = locations_[table_.locate(info, first_row, rows)];
        maps_[at.file].release(at.offset + first_row * info.row_bytes(), rows * info.row_bytes());
    }

private:
    struct location {
        std::size_t file;
        std::uint64_t offset;
    };

    header open(const std::filesystem::path& path, std::vector<tensor_info>& tensors) {
        mapped_file file(path);
        header parsed = parse_header<Formats>(file.bytes(), path.string());
        for (std::size_t t = 0; t < parsed.tensors.size(); ++t) {
            locations_.push_back({maps_.size(), parsed.offsets[t]});
            tensors.push_back(std::move(parsed.tensors[t]));
        }
        files_.push_back(path);
        maps_.push_back(std::move(file));
        return parsed;
    }

    // Other keys of later files are ignored, as stock readers do; the split keys may be fewer there, but not wrong.
    void open_others(const std::filesystem::path& path, const tessera::metadata& first, std::uint16_t count,
                     std::vector<tensor_info>& tensors) {
        std::string where = path.string();
        auto name = parse_shard_name(path);
        if (!name || name->number != 1 || name->count != count)
            fail(where, ": wanted the name ", shard_name{"*", 1, count}.path().string(), " for the first of ", count,
                 " files, got another");
        require_split(first, split_number, std::uint16_t{0}, where);
        const std::int32_t* total = find_split(first, split_tensors, where);
        if (total == nullptr) fail(where, ": key ", split_tensors.name, ": wanted the number of tensors, got nothing");

        for (std::uint16_t number = 1; number < count; ++number) {
            name->number = number + 1u;
            where = name->path().string();
            const tessera::metadata later = open(name->path(), tensors).properties;
            require_split(later, split_number, number, where);
            if (later.contains(split_count.name)) require_split(later, split_count, count, where);
            if (later.contains(split_tensors.name)) require_split(later, split_tensors, *total, where);
        }
        if (*total < 0 || static_cast<std::uint64_t>(*total) != tensors.size())
            fail(path.string(), ": key ", split_tensors.name, ": wanted the ", tensors.size(), " of all ", count,
                 " files, got ", *total);
    }

    std::vector<std::filesystem::path> files_;
    std::vector<mapped_file> maps_;
    std::vector<location> locations_;
    tensor_table table_;
    tessera::metadata metadata_;
    std::uint32_t alignment_ = default_alignment;
};

/// Reads with every built-in format.
using reader = basic_reader<>;

static_assert(packed_tensor_source<reader>);

}  // namespace tessera::gguf
