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
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "tessera/core/bytes.hpp"
#include "tessera/core/error.hpp"

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

    /// The offset of a part of so many bytes, of parts that were released if there is one.
    [[nodiscard]] std::uint64_t allocate(std::uint64_t bytes) {
        std::vector<std::uint64_t>& same = released_[bytes];
        if (same.empty()) return std::exchange(end_, end_ + bytes);
        const std::uint64_t offset = same.back();
        same.pop_back();
        return offset;
    }
    void release(std::uint64_t offset, std::uint64_t bytes) { released_[bytes].push_back(offset); }

    void write(std::uint64_t offset, byte_view bytes) const {
        while (!bytes.empty()) {
            const ::ssize_t done =
                ::pwrite(descriptor_, bytes.data(), part_of(bytes.size()), static_cast<::off_t>(offset));
            if (!advance(done, "write", offset)) continue;
            offset += static_cast<std::uint64_t>(done);
            bytes = bytes.subspan(static_cast<std::size_t>(done));
        }
    }
    void read(std::uint64_t offset, std::span<std::byte> bytes) const {
        while (!bytes.empty()) {
            const ::ssize_t done =
                ::pread(descriptor_, bytes.data(), part_of(bytes.size()), static_cast<::off_t>(offset));
            if (!advance(done, "read", offset)) continue;
            offset += static_cast<std::uint64_t>(done);
            bytes = bytes.subspan(static_cast<std::size_t>(done));
        }
    }

    /// The most bytes that it has had.
    [[nodiscard]] std::uint64_t size() const noexcept { return end_; }

private:
    [[nodiscard]] static std::size_t part_of(std::size_t bytes) {
        return std::min(bytes, std::size_t{1} << 30);  // one call takes less than 2^31
    }
    [[nodiscard]] bool advance(::ssize_t done, const char* what, std::uint64_t offset) const {
        if (done < 0 && errno == EINTR) return false;
        if (done <= 0)
            fail(folder_.string(), ": cannot ", what, " a scratch file at offset ", offset, ": ",
                 done < 0 ? std::strerror(errno) : "no room");
        return true;
    }

    std::filesystem::path folder_;
    int descriptor_ = -1;
    std::uint64_t end_ = 0;
    std::map<std::uint64_t, std::vector<std::uint64_t>> released_;  // offsets, by size
};

}  // namespace tessera
