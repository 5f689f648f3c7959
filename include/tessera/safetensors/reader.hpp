// Reads safetensors files: one, or a set of shards.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "tessera/config.hpp"
#include "tessera/core/bytes.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/mapped_file.hpp"
#include "tessera/core/metadata.hpp"
#include "tessera/core/tensor_info.hpp"
#include "tessera/safetensors/header.hpp"
#include "tessera/safetensors/scales.hpp"
#include "tessera/safetensors/shards.hpp"
#include "tessera/tensor/concepts.hpp"
#include "tessera/tensor/tensor_table.hpp"

namespace tessera::safetensors {

struct reader_options {
    /// Of 8-bit floats with a scale per block; config.json has it as quantization_config.weight_block_size.
    scale_block block;
};

/// The tensors of a model in safetensors files, mapped into memory: a packed_tensor_source with the files' own names.
///
/// Dimensions are reversed into GGUF's order. F32, F16 and BF16 are what they are. F64 and 8-bit floats can be read,
/// too; integers are listed, and packed() gives their bytes, but read() refuses them.
///
/// An 8-bit float tensor X with scales (X_scale_inv or X_scale, by which its values are multiplied) appears as F32, and
/// the scales are hidden: BF16, as which such models were trained, cannot hold these products without a second
/// rounding.
class reader {
public:
    /// Opens a file, an index of shards, or a directory that holds either. Throws tessera::error naming file and tensor
    /// for everything that is not as the format has it, for a missing shard, a name in two shards, a tensor that is not
    /// in the shard that the index names, and scales whose shape does not fit.
    explicit reader(const std::filesystem::path& path, const reader_options& options = {}) {
        TESSERA_ASSERT(options.block.rows > 0 && options.block.columns > 0, "a scale belongs to at least one weight");
        shard_list shards = find_shards(path);
        std::vector<stored> found = map_shards(shards);
        paths_ = std::move(shards.files);

        std::unordered_map<std::string_view, std::size_t> positions;
        for (std::size_t i = 0; i < found.size(); ++i) {
            const auto [other, is_new] = positions.emplace(found[i].tensor.info.name, i);
            if (!is_new)
                fail(paths_[found[i].file].string(), ": tensor ", other->first,
                     ": wanted a name of its own, got one that ", paths_[found[other->second].file].string(),
                     " has, too");
        }
        for (const auto& [name, file] : shards.placement) {
            const auto at = positions.find(name);
            if (at == positions.end() || found[at->second].file != file)
                fail(paths_[file].string(), ": tensor ", name,
                     ": wanted it here, as the index says, got no such tensor");
        }

        std::vector<bool> is_hidden(found.size());
        for (stored& weights : found) {
            if (weights.tensor.element->bytes != 1 || weights.tensor.element->decode == nullptr) continue;
            for (const char* suffix : {"_scale_inv", "_scale"}) {
                const auto at = positions.find(weights.tensor.info.name + suffix);
                if (at == positions.end()) continue;
                attach(weights, found[at->second], options.block);
                is_hidden[at->second] = true;
                break;
            }
        }

        std::vector<tensor_info> infos;
        for (std::size_t i = 0; i < found.size(); ++i) {
            if (is_hidden[i]) continue;
            infos.push_back(found[i].tensor.info);
            tensors_.push_back(std::move(found[i]));
        }
        table_ = tensor_table(std::move(infos), path.string());
    }

    /// By file name, then by position in the file.
    [[nodiscard]] std::span<const tensor_info> tensors() const noexcept { return table_.tensors(); }
    /// The tensor of this name, or null.
    [[nodiscard]] const tensor_info* find(std::string_view name) const { return table_.find(name); }
    /// The strings of all files' `__metadata__`; where two files differ, the first one's.
    [[nodiscard]] const tessera::metadata& metadata() const noexcept { return metadata_; }
    /// The files with the tensors.
    [[nodiscard]] std::span<const std::filesystem::path> files() const noexcept { return paths_; }

    /// Decodes rows into `out`, rows * columns floats. Throws when the rows or `out` do not fit, or for integers.
    void read(const tensor_info& info, std::uint64_t first_row, std::uint64_t rows, std::span<float> out) const {
        const stored& own = tensors_[table_.locate(info, first_row, rows)];
        if (own.tensor.element->decode == nullptr)
            fail(table_.where(), ": tensor ", info.name, ": wanted floats, got ", own.tensor.element->name);
        if (out.size() != rows * info.columns())
            fail(table_.where(), ": tensor ", info.name, ": wanted room for ", rows, " x ", info.columns(),
                 " floats, got ", out.size());

        own.tensor.element->decode(stored_rows(own, first_row, rows), out);
        if (own.scales)
            apply_scales(own.scales->grid, own.scales->tensor, maps_[own.scales->file].bytes(), info, first_row, out);
        if (rows * own.tensor.row_bytes() >= release_bytes) release(info, first_row, rows);
    }

    /// As above, but of every row only `columns` values from `first_column` on.
    void read(const tensor_info& info, std::uint64_t first_row, std::uint64_t rows, std::uint64_t first_column,
              std::uint64_t columns, std::span<float> out) const {
        const stored& own = tensors_[table_.locate(info, first_row, rows)];
        if (first_column > info.columns() || columns > info.columns() - first_column || out.size() != rows * columns)
            fail(table_.where(), ": tensor ", info.name, ": wanted columns below ", info.columns(), ", got ", columns,
                 " from ", first_column, " on, and room for ", out.size(), " floats");
        const bool is_whole = own.scales || own.tensor.element->decode == nullptr;  // to scale, or to refuse
        std::vector<float> row(is_whole ? info.columns() : 0);
        const std::uint64_t bytes = own.tensor.element->bytes;
        for (std::uint64_t r = 0; r < rows; ++r) {
            const std::span<float> to = out.subspan(r * columns, columns);
            if (!is_whole) {
                const byte_view from =
                    stored_rows(own, first_row + r, 1).subspan(first_column * bytes, columns * bytes);
                own.tensor.element->decode(from, to);
                continue;
            }
            read(info, first_row + r, 1, row);
            std::copy_n(row.begin() + static_cast<std::ptrdiff_t>(first_column), columns, to.begin());
        }
    }

    /// Rows as they are stored; empty for 8-bit floats, whose bytes no GGUF type has.
    [[nodiscard]] byte_view packed(const tensor_info& info, std::uint64_t first_row, std::uint64_t rows) const {
        const stored& own = tensors_[table_.locate(info, first_row, rows)];
        return own.tensor.element->is_plain() ? stored_rows(own, first_row, rows) : byte_view{};
    }

    /// Lets the system take back the memory of rows that are not needed soon; read() does so itself after large reads.
    void release(const tensor_info& info, std::uint64_t first_row, std::uint64_t rows) const {
        const stored& own = tensors_[table_.locate(info, first_row, rows)];
        const std::uint64_t row_bytes = own.tensor.row_bytes();
        maps_[own.file].release(own.tensor.offset + first_row * row_bytes, rows * row_bytes);
    }

    /// The reads after which read() releases what it has read.
    static constexpr std::uint64_t release_bytes = 1 << 20;

private:
    struct stored_scales {
        std::size_t file;
        stored_tensor tensor;
        scale_grid grid;
    };
    struct stored {
        std::size_t file;
        stored_tensor tensor;
        std::optional<stored_scales> scales;
    };

    std::vector<stored> map_shards(const shard_list& shards) {
        std::vector<stored> found;
        for (std::size_t f = 0; f < shards.files.size(); ++f) {
            maps_.emplace_back(shards.files[f]);
            header content = parse_header(maps_.back().bytes(), shards.files[f].string());
            for (stored_tensor& tensor : content.tensors) found.push_back({f, std::move(tensor), std::nullopt});
            for (const auto& [key, value] : content.properties)
                if (!metadata_.contains(key)) metadata_.set(key, value);
        }
        return found;
    }

    void attach(stored& weights, const stored& scales, const scale_block& block) const {
        const tensor_info& info = scales.tensor.info;
        const auto grid = match_scales(weights.tensor.info, info, block);
        if (!grid || scales.tensor.element->decode == nullptr)
            fail(paths_[scales.file].string(), ": tensor ", info.name, ": wanted scales for ",
                 shape_text(weights.tensor.info), ", one in all, per row, or per ", block.rows, " x ", block.columns,
                 " block, got ", shape_text(info));
        weights.scales = {scales.file, scales.tensor, *grid};
        weights.tensor.info.layout = f32_layout;
    }

    byte_view stored_rows(const stored& own, std::uint64_t first_row, std::uint64_t rows) const {
        const std::uint64_t row_bytes = own.tensor.row_bytes();
        return maps_[own.file].bytes().subspan(own.tensor.offset + first_row * row_bytes, rows * row_bytes);
    }

    std::vector<std::filesystem::path> paths_;
    std::vector<mapped_file> maps_;
    std::vector<stored> tensors_;  // in the order of table_
    tensor_table table_;
    tessera::metadata metadata_;
};

static_assert(packed_tensor_source<reader>);

}  // namespace tessera::safetensors
