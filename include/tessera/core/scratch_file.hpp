// A file for what does not fit into memory. It has no name, so nothing is left of it.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <iterator>
#include <map>
#include <span>
#include <string>
#include <utility>

#include "tessera/core/bytes.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/file_io.hpp"

namespace tessera {

/// Parts of a file that is gone with its last descriptor, whatever ends the process. Parts are written and read from
/// any thread, with calls and not by mapping: mapped pages would count as this process's memory.
class scratch_file {
public:
    /// Throws naming the folder when no file can be made there.
    explicit scratch_file(std::filesystem::path folder) : folder_(std::move(folder)) {
#ifdef O_TMPFILE
        descriptor_ = ::open(folder_.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
#endif
        if (descriptor_ >= 0) return;
        std::string name = (folder_ / "tessera-scratch-XXXXXX").string();  // a file system without nameless files
        descriptor_ = ::mkostemp(name.data(), O_CLOEXEC);
        if (descriptor_ < 0) fail(folder_.string(), ": cannot create a scratch file: ", std::strerror(errno));
        ::unlink(name.c_str());
    }
    scratch_file(const scratch_file&) = delete;
    scratch_file& operator=(const scratch_file&) = delete;
    ~scratch_file() { ::close(descriptor_); }

    /// The offset of a part of so many bytes, in what was released if there is room.
    [[nodiscard]] std::uint64_t allocate(std::uint64_t bytes) {
        const auto found = std::ranges::find_if(
            free_, [&](const auto& range) { return range.second >= bytes || range.first + range.second == end_; });
        if (found == free_.end()) return std::exchange(end_, end_ + bytes);
        const auto [offset, size] = *found;
        free_.erase(found);
        if (size > bytes) free_.emplace(offset + bytes, size - bytes);
        end_ = std::max(end_, offset + bytes);
        return offset;
    }
    void release(std::uint64_t offset, std::uint64_t bytes) {
        const auto next = free_.lower_bound(offset);
        if (next != free_.end() && offset + bytes == next->first) {
            bytes += next->second;
            free_.erase(next);
        }
        const auto after = free_.lower_bound(offset);
        if (after != free_.begin())
            if (const auto before = std::prev(after); before->first + before->second == offset) {
                before->second += bytes;
                return;
            }
        free_.emplace(offset, bytes);
    }

    void write(std::uint64_t offset, byte_view bytes) const {
        detail::write_all(descriptor_, offset, bytes, [&](std::size_t, std::uint64_t at, const char* reason) {
            fail(folder_.string(), ": cannot write a scratch file at offset ", at, ": ", reason);
        });
    }
    void read(std::uint64_t offset, std::span<std::byte> bytes) const {
        detail::read_all(descriptor_, offset, bytes, [&](std::size_t, std::uint64_t at, const char* reason) {
            fail(folder_.string(), ": cannot read a scratch file at offset ", at, ": ", reason);
        });
    }

    /// The most bytes that it has had.
    [[nodiscard]] std::uint64_t size() const noexcept { return end_; }

private:
    std::filesystem::path folder_;
    int descriptor_ = -1;
    std::uint64_t end_ = 0;
    std::map<std::uint64_t, std::uint64_t> free_;  // ranges that were released: sizes by offset, no two side by side
};

}  // namespace tessera
