// Which files may be written: what every output has to keep to.
#pragma once

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/core/noted_outputs.hpp"

namespace tessera {

/// What to do about a file that has the output's name already.
enum class existing_file { refuse, replace };

/// Thrown where only a file of the output's name is in the way, so that existing_file::replace would help.
class name_taken : public error {
public:
    using error::error;
};

/// What an output must not touch.
struct output_rule {
    std::vector<std::filesystem::path> inputs{};  ///< files that are read, under whatever name
    existing_file existing = existing_file::refuse;
    /// A file in which outputs are noted before they get their names. One that was noted is not in the way of itself.
    std::filesystem::path noted_in{};
};

/// The folder that a file lies in.
[[nodiscard]] inline std::filesystem::path folder_of(const std::filesystem::path& file) {
    return file.has_parent_path() ? file.parent_path() : std::filesystem::path(".");
}

/// Whether two names mean one file, by whatever links; also one that does not exist yet.
[[nodiscard]] inline bool is_same_file(const std::filesystem::path& a, const std::filesystem::path& b) {
    std::error_code unknown;  // what cannot be looked at is another file
    if (std::filesystem::exists(a, unknown) && std::filesystem::exists(b, unknown))
        return std::filesystem::equivalent(a, b, unknown);
    return a.filename() == b.filename() && std::filesystem::equivalent(folder_of(a), folder_of(b), unknown);
}

/// Throws when a file must not be written at `path`: it is no file's name, its folder does not exist or takes no new
/// files, it is one of the inputs, something that is no regular file is there, or a file that may not be replaced.
inline void require_destination(const std::filesystem::path& path, const output_rule& rule) {
    namespace fs = std::filesystem;
    if (!path.has_filename()) fail("output: wanted the name of a file, got \"", path.string(), '"');
    const fs::path folder = folder_of(path);
    std::error_code unknown;  // what cannot be looked at now will show when the file is created
    if (const fs::file_status status = fs::status(folder, unknown); status.type() == fs::file_type::not_found)
        fail(path.string(), ": wanted a folder that exists, got ", folder.string(), ", which does not");
    else if (fs::exists(status) && !fs::is_directory(status))
        fail(path.string(), ": wanted a folder to write in, got ", folder.string(), ", which is none");
    if (::access(folder.c_str(), W_OK | X_OK) != 0)
        fail(path.string(), ": wanted a folder to write in, got ", folder.string(), ": ", std::strerror(errno));
    for (const fs::path& input : rule.inputs)
        if (is_same_file(path, input))
            fail(path.string(), ": wanted an output that is none of the inputs, got ", input.string());
    if (!fs::exists(fs::symlink_status(path, unknown))) return;
    if (!fs::is_regular_file(path, unknown))
        fail(path.string(), ": wanted a regular file to replace, got something else");
    if (rule.existing == existing_file::refuse && !is_noted(rule.noted_in, path))
        throw name_taken(concat(path.string(), ": wanted a name that is free, got a file that exists"));
}

}  // namespace tessera
