// A GGUF model as a sink of tensors: one file, or several of limited size.
#pragma once

#include <sys/stat.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "tessera/core/bytes.hpp"
#include "tessera/core/checksum.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/metadata.hpp"
#include "tessera/core/noted_outputs.hpp"
#include "tessera/core/output_file.hpp"
#include "tessera/core/output_rule.hpp"
#include "tessera/core/stop.hpp"
#include "tessera/core/tensor_info.hpp"
#include "tessera/gguf/layout.hpp"
#include "tessera/gguf/rules.hpp"
#include "tessera/gguf/shard_name.hpp"
#include "tessera/tensor/concepts.hpp"
#include "tessera/tensor/row_counter.hpp"
#include "tessera/tensor/tensor_table.hpp"

namespace tessera::gguf {

struct writer_options {
    std::vector<std::filesystem::path> inputs{};  ///< files that the output must not be, under whatever name
    existing_file existing = existing_file::refuse;
    std::uint64_t max_shard_bytes = 0;  ///< 0: one file; else one, or as many as it takes (see plan_files)
    /// A folder for files that are not whole: they stay there, and are gone on from. Nobody else may write there.
    /// Empty: they lie beside the output and disappear with the writer.
    std::filesystem::path unfinished{};
    /// As output_rule's. With a folder for unfinished files, those that were noted are taken back into it.
    std::filesystem::path noted_in{};
};

/// Writes GGUF version 3. All offsets are planned in begin(); rows then come in any order and from any thread; the
/// files get their names in finish(), once every row is there and flushed. Without finish() nothing remains, unless
/// unfinished files have a folder.
class writer {
public:
    /// Nothing is created yet. Throws when `path` must not be written (see tessera::require_destination).
    explicit writer(std::filesystem::path path, writer_options options = {})
        : path_(std::move(path)), options_(std::move(options)) {
        if (options_.max_shard_bytes == 0) require_destination(path_);
    }

    /// Plans and creates the files. The split keys and an alignment other than 32 in `properties` are dropped. Throws
    /// before anything is created when a name, key or shape is not fit for a file, a name repeats, a file is in the
    /// way, or the disk has too little room.
    template <class = void>
    void begin(std::span<const tensor_info> tensors, const tessera::metadata& properties) {
        const std::string where = path_.string();
        if (!paths_.empty()) fail(where, ": begin: wanted one call, got a second");
        for (const auto& [key, value] : properties) require_key(where, key);
        for (const tensor_info& info : tensors) {
            require_name(where, info.name);
            require_shape(where, info);
        }
        tensor_table table({tensors.begin(), tensors.end()}, where);
        const std::vector<file_layout> layouts = plan_files(table.tensors(), properties, options_.max_shard_bytes);

        std::uint64_t total = 0;
        for (const file_layout& layout : layouts) total += layout.bytes;
        std::vector<std::filesystem::path> paths = names(layouts.size());
        for (const std::filesystem::path& path : paths) require_destination(path);
        take_back_noted(paths);
        require_room(total, paths.size());

        std::vector<output_file> files;
        std::vector<location> locations;
        for (std::size_t f = 0; f < layouts.size(); ++f) {
            const file_layout& layout = layouts[f];
            if (options_.unfinished.empty())
                files.emplace_back(paths[f], layout.bytes);
            else
                files.emplace_back(paths[f], layout.bytes, unfinished(f));
            files.back().write_at(0, layout.header());
            for (const std::uint64_t offset : layout.offsets) locations.push_back({f, layout.data_offset + offset});
        }

        table_ = std::move(table);
        written_ = row_counter(tensors.size());
        locations_ = std::move(locations);
        files_ = std::move(files);
        paths_ = std::move(paths);
        total_size_ = total;
    }

    /// Writes whole rows. Throws when they are not rows of a tensor announced in begin(), or cannot be written.
    void write(const tensor_info& info, std::uint64_t first_row, byte_view bytes) {
        const std::size_t position = table_.locate_bytes(info, first_row, bytes.size());
        const location& at = locations_[position];
        files_[at.file].write_at(at.offset + first_row * info.row_bytes(), bytes);
        written_.add(table_, position, bytes.size() / info.row_bytes());
    }

    /// A checksum of rows as they lie in the file, for a tensor of this name; begun, not finished. From any thread.
    [[nodiscard]] std::uint64_t sum_of_rows(std::string_view name, std::uint64_t first_row, std::uint64_t rows) const {
        const std::size_t position = position_of(name);
        const tensor_info& info = table_.tensors()[position];
        (void)table_.locate(info, first_row, rows);
        const location& at = locations_[position];
        checksum sum;
        std::vector<std::byte> part;
        for (const std::uint64_t end = first_row + rows; first_row < end;) {
            stop_if_requested();
            const std::uint64_t count =
                std::clamp<std::uint64_t>((std::uint64_t{1} << 20) / info.row_bytes(), 1, end - first_row);
            part.resize(count * info.row_bytes());
            files_[at.file].read_at(at.offset + first_row * info.row_bytes(), part);
            sum.append(part.data(), part.size());
            first_row += count;
        }
        return sum.value();
    }
    /// Counts rows as written that lie in an unfinished file already.
    void count_written(std::string_view name, std::uint64_t rows) { written_.add(table_, position_of(name), rows); }
    /// Waits until what was written is on disk.
    void sync() const {
        for (const output_file& file : files_) file.sync();
    }

    /// Flushes the files and gives them their names. Throws naming a tensor that lacks rows, or when a file has come in
    /// the way meanwhile; the output then stays without its name.
    void finish() {
        if (files_.empty()) fail(path_.string(), ": finish: wanted a model begun and not finished, got none");
        written_.require_complete(table_);
        sync();
        for (const std::filesystem::path& path : paths_) require_destination(path);
        publish();
        sync_folder(folder_of(path_));
        files_.clear();
        table_ = tensor_table({}, path_.string());
    }

    /// Bytes of all files together; known after begin().
    [[nodiscard]] std::uint64_t total_size() const noexcept { return total_size_; }
    /// The final names of all files, in order; known after begin().
    [[nodiscard]] const std::vector<std::filesystem::path>& paths() const noexcept { return paths_; }

private:
    struct location {
        std::size_t file;
        std::uint64_t offset;
    };

    [[nodiscard]] std::vector<std::filesystem::path> names(std::size_t files) const {
        if (files == 1) return {path_};
        std::vector<std::filesystem::path> paths;
        shard_name name{.prefix = shard_prefix(path_), .number = 0, .count = static_cast<std::uint32_t>(files)};
        while (name.number++ < files) paths.push_back(name.path());
        return paths;
    }

    void require_destination(const std::filesystem::path& path) const {
        tessera::require_destination(path, {options_.inputs, options_.existing, options_.noted_in});
    }

    [[nodiscard]] std::filesystem::path unfinished(std::size_t file) const {
        return options_.unfinished / concat("output-", file, ".gguf");
    }

    // Files that the same work gave their names before it was ended.
    void take_back_noted(std::span<const std::filesystem::path> paths) const {
        if (options_.unfinished.empty()) return;
        for (std::size_t f = 0; f < paths.size(); ++f)
            if (is_noted(options_.noted_in, paths[f])) output_file::take_back(paths[f], unfinished(f));
    }

    // Bytes that the unfinished file has on its disk.
    [[nodiscard]] std::uint64_t bytes_there(std::size_t file) const {
        struct ::stat status{};
        return ::stat(unfinished(file).c_str(), &status) == 0 ? static_cast<std::uint64_t>(status.st_blocks) * 512 : 0;
    }

    void require_room(std::uint64_t needed, std::size_t files) const {
        const auto require = [&](const std::filesystem::path& folder, std::uint64_t bytes) {
            std::error_code unknown;
            const std::filesystem::space_info room = std::filesystem::space(folder, unknown);
            if (!unknown && room.available < bytes)
                fail(path_.string(), ": wanted ", bytes, " bytes free on its disk, got ", room.available);
        };
        const std::filesystem::path output = folder_of(path_);
        if (options_.unfinished.empty()) return require(output, needed);
        std::uint64_t there = 0;
        for (std::size_t f = 0; f < files; ++f) there += bytes_there(f);
        require(options_.unfinished, needed - std::min(needed, there));
        struct ::stat a{}, b{};
        const bool known = ::stat(output.c_str(), &a) == 0 && ::stat(options_.unfinished.c_str(), &b) == 0;
        if (known && a.st_dev != b.st_dev) require(output, needed);  // it is copied there in the end
    }

    [[nodiscard]] std::size_t position_of(std::string_view name) const {
        const tensor_info* info = table_.find(name);
        if (info == nullptr) fail(path_.string(), ": wanted a tensor of the model, got ", name);
        return static_cast<std::size_t>(info - table_.tensors().data());
    }

    // The first file, by which a reader opens the model, gets its name last.
    void publish() {
        std::size_t unnamed = files_.size();
        try {
            for (; unnamed > 0; --unnamed) files_[unnamed - 1].publish(options_.noted_in);
        } catch (...) {
            std::error_code ignored;
            for (; unnamed < files_.size(); ++unnamed)
                if (options_.unfinished.empty())
                    std::filesystem::remove(paths_[unnamed], ignored);
                else
                    output_file::take_back(paths_[unnamed], unfinished(unnamed));
            throw;
        }
    }

    std::filesystem::path path_;
    writer_options options_;
    tensor_table table_;
    row_counter written_;
    std::vector<location> locations_;
    std::vector<output_file> files_;
    std::vector<std::filesystem::path> paths_;
    std::uint64_t total_size_ = 0;
};

static_assert(tensor_sink<writer>);

}  // namespace tessera::gguf
