// A file that gets its name only when it is complete.
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <initializer_list>
#include <span>
#include <string>
#include <system_error>
#include <utility>

#include "tessera/core/bytes.hpp"
#include "tessera/core/error.hpp"

namespace tessera::gguf {

/// What to do about a file that has the output's name already.
enum class existing_file { refuse, replace };

/// Throws when `path` is one of the inputs, under whatever name, or is taken and may not be replaced.
inline void require_destination(const std::filesystem::path& path, std::span<const std::filesystem::path> inputs,
                                existing_file existing) {
    std::error_code unknown;  // what cannot be looked at now will show when the file is created
    if (!std::filesystem::exists(path, unknown)) return;
    for (const std::filesystem::path& input : inputs)
        if (std::filesystem::equivalent(path, input, unknown))
            fail(path.string(), ": wanted an output that is none of the inputs, got ", input.string());
    if (existing == existing_file::refuse)
        fail(path.string(), ": wanted a name that is free, got a file that exists");
    if (!std::filesystem::is_regular_file(path, unknown))
        fail(path.string(), ": wanted a regular file to replace, got something else");
}

/// Writes beside the final name, as `<name>.partial-<process>-<number>`, and renames in publish(). A file that was not
/// published disappears with the object.
class output_file {
public:
    /// Creates a file of `bytes` zeros, which take no room on disk yet. Throws naming the path when it cannot.
    output_file(std::filesystem::path name, std::uint64_t bytes) : name_(std::move(name)) {
        const std::string stem = name_.string() + ".partial-" + std::to_string(::getpid()) + "-";
        for (unsigned number = 0; descriptor_ < 0; ++number) {
            partial_ = stem + std::to_string(number);
            descriptor_ = ::open(partial_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
            if (descriptor_ < 0 && errno != EEXIST) fail(partial_.string(), ": cannot create: ", std::strerror(errno));
        }
        if (::ftruncate(descriptor_, static_cast<::off_t>(bytes)) != 0) {
            const int reason = errno;
            discard();
            fail(partial_.string(), ": cannot make it ", bytes, " bytes long: ", std::strerror(reason));
        }
    }
    output_file(output_file&& other) noexcept
        : name_(std::move(other.name_)),
          partial_(std::move(other.partial_)),
          descriptor_(std::exchange(other.descriptor_, -1)) {}
    output_file& operator=(output_file&&) = delete;
    ~output_file() { discard(); }

    /// Writes at a place, from any thread.
    void write_at(std::uint64_t offset, byte_view bytes) const {
        while (!bytes.empty()) {
            const std::size_t piece = std::min(bytes.size(), std::size_t{1} << 30);  // one call takes less than 2^31
            const ::ssize_t written = ::pwrite(descriptor_, bytes.data(), piece, static_cast<::off_t>(offset));
            if (written < 0 && errno == EINTR) continue;
            if (written <= 0)
                fail(partial_.string(), ": cannot write ", piece, " bytes at offset ", offset, ": ",
                     written < 0 ? std::strerror(errno) : "no room");
            offset += static_cast<std::uint64_t>(written);
            bytes = bytes.subspan(static_cast<std::size_t>(written));
        }
    }

    /// Waits until the bytes are on disk.
    void sync() const {
        if (::fsync(descriptor_) != 0) fail(partial_.string(), ": cannot flush: ", std::strerror(errno));
    }

    /// Gives the file its name, replacing what has it.
    void publish() {
        std::error_code problem;
        std::filesystem::rename(partial_, name_, problem);
        if (problem) fail(name_.string(), ": cannot rename ", partial_.string(), " to it: ", problem.message());
        ::close(std::exchange(descriptor_, -1));
    }

private:
    void discard() noexcept {
        if (descriptor_ < 0) return;
        ::close(std::exchange(descriptor_, -1));
        ::unlink(partial_.c_str());
    }

    std::filesystem::path name_;
    std::filesystem::path partial_;
    int descriptor_ = -1;
};

/// Waits until the names in a folder are on disk.
inline void sync_folder(const std::filesystem::path& folder) {
    const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) fail(folder.string(), ": cannot open: ", std::strerror(errno));
    const int result = ::fsync(descriptor);
    const int reason = errno;
    ::close(descriptor);
    // A file system that cannot flush folders says EINVAL: there is nothing to wait for.
    if (result != 0 && reason != EINVAL) fail(folder.string(), ": cannot flush: ", std::strerror(reason));
}

/// Writes a file in one go, part after part, replacing what has its name.
inline void write_file(const std::filesystem::path& name, std::initializer_list<byte_view> parts) {
    std::uint64_t size = 0;
    for (const byte_view part : parts) size += part.size();
    output_file file(name, size);
    std::uint64_t offset = 0;
    for (const byte_view part : parts) {
        file.write_at(offset, part);
        offset += part.size();
    }
    file.sync();
    file.publish();
    sync_folder(name.has_parent_path() ? name.parent_path() : std::filesystem::path("."));
}

/// Removes what processes that were killed have left unpublished of a file.
inline void remove_abandoned(const std::filesystem::path& name) {
    const std::string stem = name.filename().string() + ".partial-";
    std::error_code ignored;
    const std::filesystem::path folder = name.has_parent_path() ? name.parent_path() : std::filesystem::path(".");
    for (const auto& entry : std::filesystem::directory_iterator(folder, ignored)) {
        const std::string found = entry.path().filename().string();
        if (!found.starts_with(stem)) continue;
        const long process = std::strtol(found.c_str() + stem.size(), nullptr, 10);
        const bool is_running = process <= 0 || ::kill(static_cast<::pid_t>(process), 0) == 0 || errno != ESRCH;
        if (!is_running) std::filesystem::remove(entry.path(), ignored);
    }
}

}  // namespace tessera::gguf
