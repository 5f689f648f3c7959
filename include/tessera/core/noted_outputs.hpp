// Outputs of work that is not done yet: noted before they get their names, so that the same work knows them again.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>

#include "tessera/core/bytes.hpp"
#include "tessera/core/checksum.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/mapped_file.hpp"

namespace tessera {

namespace detail {

// What a file keeps when it is renamed, and hardly shares with one that takes its place. It shares it with itself after
// a change that keeps the size within one tick of the clock, or that puts the time back.
[[nodiscard]] inline std::string note_of(const struct ::stat& file) {
    return concat(file.st_dev, " ", file.st_ino, " ", file.st_size, " ", file.st_mtim.tv_sec, " ",
                  file.st_mtim.tv_nsec);
}

// Files of so many bytes are summed up, too; what larger ones hold, models, has to be compared with a journal anyway.
inline constexpr std::uintmax_t most_summed_bytes = std::uintmax_t{1} << 26;

[[nodiscard]] inline std::string sum_of(const std::filesystem::path& file) {
    if (std::filesystem::file_size(file) > most_summed_bytes) return "large";
    const mapped_file mapped(file);
    checksum sum;
    sum.append(mapped.bytes().data(), mapped.bytes().size());
    return std::to_string(sum.value());
}

}  // namespace detail

/// Notes in the file `list` an output that is whole and about to get its name, and waits until that is on disk. Nothing
/// without a list, or where its folder is not there.
inline void note_output(const std::filesystem::path& list, const std::filesystem::path& unnamed) {
    if (list.empty() || !std::filesystem::exists(list.parent_path())) return;
    struct ::stat status{};
    const int descriptor = ::open(list.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    bool is_noted = descriptor >= 0 && ::stat(unnamed.c_str(), &status) == 0;
    if (is_noted) {
        const std::string line = concat(detail::note_of(status), ' ', detail::sum_of(unnamed), '\n');
        is_noted = ::write(descriptor, line.data(), line.size()) == static_cast<::ssize_t>(line.size()) &&
                   ::fsync(descriptor) == 0;
    }
    const int reason = errno;
    if (descriptor >= 0) ::close(descriptor);
    if (!is_noted) fail(list.string(), ": cannot note ", unnamed.string(), ": ", std::strerror(reason));
}

/// Whether a file is one of those that were noted, and nobody has changed it since.
[[nodiscard]] inline bool is_noted(const std::filesystem::path& list, const std::filesystem::path& file) {
    struct ::stat status{};
    if (list.empty() || ::stat(file.c_str(), &status) != 0) return false;
    const std::string known = detail::note_of(status) + ' ';
    std::error_code missing;
    if (std::filesystem::file_size(list, missing) == 0 || missing) return false;
    const mapped_file notes(list);
    const std::string_view lines = as_text(notes.bytes());
    const auto has = [&](std::string_view start) {
        for (std::size_t at = 0; (at = lines.find(start, at)) != lines.npos; ++at)
            if (at == 0 || lines[at - 1] == '\n') return true;
        return false;
    };
    return has(known) && has(known + detail::sum_of(file) + '\n');
}

}  // namespace tessera
