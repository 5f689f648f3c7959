// A file that gets its name only when it is complete.
#pragma once

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "tessera/core/bytes.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/file_io.hpp"
#include "tessera/core/noted_outputs.hpp"
#include "tessera/core/output_rule.hpp"
#include "tessera/core/stop.hpp"
#include "tessera/core/unpublished_files.hpp"

namespace tessera {

/// Removes what processes that were killed have left of a file: `<name>.partial-<process>-<number>` that no process has
/// locked.
inline void remove_abandoned(const std::filesystem::path& name) {
    const std::string stem = name.filename().string() + ".partial-";
    const auto is_left = [&](std::string_view found) {
        if (!found.starts_with(stem)) return false;
        found.remove_prefix(stem.size());
        const std::size_t dash = found.find('-');
        return dash != 0 && dash != found.npos && dash + 1 < found.size() && found.rfind('-') == dash &&
               found.find_first_not_of("0123456789-") == found.npos;
    };
    std::error_code ignored;
    for (std::filesystem::directory_iterator entry(folder_of(name), ignored), end; !ignored && entry != end;
         entry.increment(ignored)) {
        if (!is_left(entry->path().filename().string())) continue;
        const int descriptor = ::open(entry->path().c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        if (descriptor < 0) continue;
        if (::flock(descriptor, LOCK_EX | LOCK_NB) == 0) ::unlink(entry->path().c_str());
        ::close(descriptor);
    }
}

/// Writes beside the final name, as `<name>.partial-<process>-<number>`, and renames in publish(). A file that was not
/// published disappears with the object, by remove_unpublished_files, or when the same output is written the next time:
/// it is locked as long as its process lives.
class output_file {
public:
    /// Creates a file of `bytes` zeros, which take no room on disk yet. Throws naming the path when it cannot.
    output_file(std::filesystem::path name, std::uint64_t bytes) : name_(std::move(name)) {
        remove_abandoned(name_);
        const std::string stem = name_.string() + ".partial-" + std::to_string(::getpid()) + "-";
        for (unsigned number = 0; descriptor_ < 0; ++number) create(stem + std::to_string(number));
        make_long(bytes);
    }
    /// A file that lies at `unfinished` until it is published, and stays there when it is not: what is there already is
    /// gone on from. Nobody else may write it meanwhile.
    output_file(std::filesystem::path name, std::uint64_t bytes, std::filesystem::path unfinished)
        : name_(std::move(name)), partial_(std::move(unfinished)), stays_(true) {
        descriptor_ = ::open(partial_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
        if (descriptor_ < 0) fail(partial_.string(), ": cannot create: ", std::strerror(errno));
        make_long(bytes);
    }
    output_file(output_file&& other) noexcept
        : name_(std::move(other.name_)),
          partial_(std::move(other.partial_)),
          stays_(other.stays_),
          descriptor_(std::exchange(other.descriptor_, -1)),
          unpublished_(std::exchange(other.unpublished_, std::nullopt)) {}
    output_file& operator=(output_file&&) = delete;
    ~output_file() { discard(); }

    /// Writes at a place, from any thread.
    void write_at(std::uint64_t offset, byte_view bytes) const {
        detail::write_all(descriptor_, offset, bytes, [&](std::size_t left, std::uint64_t at, const char* reason) {
            fail(partial_.string(), ": cannot write ", left, " bytes at offset ", at, ": ", reason);
        });
    }

    /// Reads what was written at a place, from any thread.
    void read_at(std::uint64_t offset, std::span<std::byte> bytes) const {
        detail::read_all(descriptor_, offset, bytes, [&](std::size_t left, std::uint64_t at, const char* reason) {
            fail(partial_.string(), ": cannot read ", left, " bytes at offset ", at, ": ", reason);
        });
    }

    /// Waits until the bytes are on disk: for one part after another where the system can, since no signal ends that.
    void sync() const {
#ifdef SYNC_FILE_RANGE_WRITE
        constexpr unsigned all = SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;
        constexpr ::off_t part = ::off_t{1} << 26;
        struct ::stat status{};
        const ::off_t size = ::fstat(descriptor_, &status) == 0 ? status.st_size : 0;
        for (::off_t at = 0; at < size; at += part) {
            stop_if_requested();
            if (::sync_file_range(descriptor_, at, part, all) != 0) break;  // fsync will say why
        }
#endif
        if (::fsync(descriptor_) != 0) fail(partial_.string(), ": cannot flush: ", std::strerror(errno));
    }

    /// Gives the file its name, replacing what has it. It is noted before (see output_rule).
    void publish(const std::filesystem::path& noted_in = {}) {
        std::error_code problem;
        note_output(noted_in, partial_);
        std::filesystem::rename(partial_, name_, problem);
        if (stays_ && problem == std::errc::cross_device_link) {
            move_by_copying(partial_, name_, noted_in);
            ::close(std::exchange(descriptor_, -1));
            return;
        }
        if (problem) fail(name_.string(), ": cannot rename ", partial_.string(), " to it: ", problem.message());
        unpublished_.reset();
        ::close(std::exchange(descriptor_, -1));
    }

    /// Takes the name from a file again, so that it lies where it did while it was unfinished.
    static void take_back(const std::filesystem::path& name, const std::filesystem::path& unfinished) {
        std::error_code problem;
        std::filesystem::rename(name, unfinished, problem);
        if (problem == std::errc::cross_device_link) return move_by_copying(name, unfinished, {});
        if (problem) fail(name.string(), ": cannot rename it to ", unfinished.string(), ": ", problem.message());
    }

private:
    void make_long(std::uint64_t bytes) {
        if (::ftruncate(descriptor_, static_cast<::off_t>(bytes)) == 0) return;
        const int reason = errno;
        discard();
        fail(partial_.string(), ": cannot make it ", bytes, " bytes long: ", std::strerror(reason));
    }

    // For a file that is to have a name on another disk.
    static void move_by_copying(const std::filesystem::path& from, const std::filesystem::path& to,
                                const std::filesystem::path& noted_in) {
        const std::uint64_t size = std::filesystem::file_size(from);
        const output_file source(from, size, from);
        output_file copy(to, size);
        std::vector<std::byte> part;
        for (std::uint64_t at = 0; at < size; at += part.size()) {
            stop_if_requested();
            part.resize(std::min<std::uint64_t>(size - at, std::uint64_t{1} << 24));
            source.read_at(at, part);
            copy.write_at(at, part);
        }
        copy.sync();
        copy.publish(noted_in);
        std::filesystem::remove(from);
    }

    // Creates and locks a file, or none when another has the name.
    void create(const std::string& partial) {
        std::optional<unpublished_name> unpublished(std::in_place, partial);  // first, so that no file is without
        const int descriptor = ::open(partial.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (descriptor < 0 && errno == EEXIST) return;
        if (descriptor < 0) fail(partial, ": cannot create: ", std::strerror(errno));
        if (detail::unpublished_are_removed) {
            ::close(descriptor);
            ::unlink(partial.c_str());
            fail(partial, ": cannot create: the process is about to end");
        }
        // A process that cleans up may have come before the lock: the file is its then. On file systems without locks
        // nothing is cleaned up.
        struct ::stat status{};
        if ((::flock(descriptor, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) ||
            (::fstat(descriptor, &status) == 0 && status.st_nlink == 0)) {
            ::close(descriptor);
            return;
        }
        descriptor_ = descriptor;
        partial_ = partial;
        unpublished_ = std::move(unpublished);
    }

    void discard() noexcept {
        if (descriptor_ < 0) return;
        if (!stays_) ::unlink(partial_.c_str());
        ::close(std::exchange(descriptor_, -1));
        unpublished_.reset();
    }

    std::filesystem::path name_;
    std::filesystem::path partial_;
    bool stays_ = false;
    int descriptor_ = -1;
    std::optional<unpublished_name> unpublished_;
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

/// Writes a file in one go, part after part. Throws when the rule forbids it, now or once it is written.
inline void write_file(const std::filesystem::path& name, std::initializer_list<byte_view> parts,
                       const output_rule& rule) {
    require_destination(name, rule);
    std::uint64_t size = 0;
    for (const byte_view part : parts) size += part.size();
    output_file file(name, size);
    std::uint64_t offset = 0;
    for (const byte_view part : parts) {
        file.write_at(offset, part);
        offset += part.size();
    }
    file.sync();
    require_destination(name, rule);
    file.publish(rule.noted_in);
    sync_folder(folder_of(name));
}

/// The same of a text.
inline void write_text_file(const std::filesystem::path& name, std::string_view text, const output_rule& rule) {
    write_file(name, {std::as_bytes(std::span(text))}, rule);
}

}  // namespace tessera
