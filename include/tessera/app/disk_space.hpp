// Room on the file systems for what work writes.
#pragma once

#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <system_error>

#include "tessera/app/memory.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/output_rule.hpp"

namespace tessera::app {

/// Whether so many bytes will be written, about, or perhaps far fewer.
enum class byte_bound { expected, at_most };

/// Bytes that will be written to a folder, or to the one in which it will be made.
struct disk_need {
    std::filesystem::path folder;
    std::uint64_t bytes;
    byte_bound bound = byte_bound::expected;
};

namespace detail {

// The folder that is there.
[[nodiscard]] inline std::filesystem::path existing_folder(std::filesystem::path folder) {
    std::error_code unknown;
    if (folder.empty()) return ".";
    return std::filesystem::exists(folder, unknown) ? folder : folder_of(folder);
}

}  // namespace detail

/// Bytes that a process may still write where a folder is; the largest number if that is unknown.
[[nodiscard]] inline std::uint64_t free_bytes(const std::filesystem::path& folder) {
    struct ::statvfs system{};
    if (::statvfs(folder.c_str(), &system) != 0) return detail::no_limit;
    return static_cast<std::uint64_t>(system.f_bavail) * static_cast<std::uint64_t>(system.f_frsize);
}

/// Bytes of the files in a folder that is there: what unfinished work holds already.
[[nodiscard]] inline std::uint64_t bytes_in(const std::filesystem::path& folder) {
    std::uint64_t sum = 0;
    std::error_code unknown;
    for (const auto& entry : std::filesystem::directory_iterator(folder, unknown)) {
        struct ::stat file{};
        if (::stat(entry.path().c_str(), &file) == 0) sum += static_cast<std::uint64_t>(file.st_blocks) * 512;
    }
    return sum;
}

/// Throws when a file system has less room than is expected to be needed in all folders that are on it; free_of(folder)
/// says how much there is.
template <class Free>
void require_space(std::span<const disk_need> needs, const Free& free_of) {
    struct system {
        std::filesystem::path folder;
        std::uint64_t bytes = 0;
    };
    std::map<std::uint64_t, system> systems;
    for (const disk_need& need : needs) {
        const std::filesystem::path folder = detail::existing_folder(need.folder);
        struct ::stat about{};
        if (need.bytes == 0 || need.bound == byte_bound::at_most || ::stat(folder.c_str(), &about) != 0) continue;
        system& one = systems[static_cast<std::uint64_t>(about.st_dev)];
        if (one.folder.empty()) one.folder = folder;
        one.bytes += need.bytes;
    }
    for (const auto& [device, one] : systems)
        if (const std::uint64_t room = free_of(one.folder); room < one.bytes)
            fail(one.folder.string(), ": wanted ", detail::gigabytes(one.bytes),
                 " of free space for what will be written there, got ", detail::gigabytes(room));
}
inline void require_space(std::span<const disk_need> needs) { require_space(needs, free_bytes); }

/// Throws when a scratch file cannot be made in the folder. Empty: that of temporary files.
inline void require_scratch(const std::filesystem::path& folder) {
    if (!folder.empty() && ::access(folder.c_str(), W_OK | X_OK) != 0)
        fail(folder.string(), ": wanted a folder for a scratch file, got ", std::strerror(errno));
}

}  // namespace tessera::app
