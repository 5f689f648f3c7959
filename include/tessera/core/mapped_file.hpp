// A file as read-only memory.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <utility>

#include "tessera/core/bytes.hpp"
#include "tessera/core/error.hpp"

namespace tessera {

/// Maps a whole regular file read-only. Truncating the file while it is mapped is undefined, as with every mapping.
class mapped_file {
public:
    mapped_file() = default;

    /// Throws tessera::error naming the path when it cannot be opened, is no regular file, or cannot be mapped.
    explicit mapped_file(const std::filesystem::path& path) {
        const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        if (descriptor < 0) fail(path.string(), ": cannot open: ", std::strerror(errno));
        struct ::stat status{};
        const bool known = ::fstat(descriptor, &status) == 0;
        if (!known || !S_ISREG(status.st_mode)) {
            ::close(descriptor);
            fail(path.string(), ": not a regular file");
        }
        size_ = static_cast<std::size_t>(status.st_size);
        if (size_ > 0) {
            void* address = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, descriptor, 0);
            if (address == MAP_FAILED) {
                const int reason = errno;
                ::close(descriptor);
                fail(path.string(), ": cannot map ", size_, " bytes: ", std::strerror(reason));
            }
            data_ = static_cast<const std::byte*>(address);
        }
        ::close(descriptor);
    }

    mapped_file(mapped_file&& other) noexcept
        : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
    mapped_file& operator=(mapped_file&& other) noexcept {
        std::swap(data_, other.data_);
        std::swap(size_, other.size_);
        return *this;
    }
    ~mapped_file() {
        if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
    }

    [[nodiscard]] byte_view bytes() const noexcept { return {data_, size_}; }

    /// Lets the system take back the memory of the whole pages inside [offset, offset + length): later reads fetch them
    /// again. Keeps the resident size of a pass over a large model at what is in flight.
    void release(std::uint64_t offset, std::uint64_t length) const noexcept {
        const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
        const std::uint64_t first = (offset + page - 1) / page * page;
        const std::uint64_t last = (offset + length) / page * page;
        if (first < last && last <= size_)
            ::madvise(const_cast<std::byte*>(data_) + first, last - first, MADV_DONTNEED);
    }

private:
    const std::byte* data_ = nullptr;
    std::size_t size_ = 0;
};

}  // namespace tessera
