// All files that some work reads and writes, so that what clashes is found before it begins.
#pragma once

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/core/output_file.hpp"
#include "tessera/core/output_rule.hpp"

namespace tessera {

/// What is read and what will be written. An empty name is no file.
class file_claims {
public:
    /// What becomes of outputs that exist.
    explicit file_claims(existing_file existing) { rule_.existing = existing; }

    void read(std::filesystem::path file) {
        if (!file.empty()) rule_.inputs.push_back(std::move(file));
    }
    void read(const std::vector<std::filesystem::path>& files) {
        for (const std::filesystem::path& file : files) read(file);
    }
    void write(std::filesystem::path file) { write(std::move(file), rule_.existing); }
    /// For a file that is treated in its own way when it exists.
    void write(std::filesystem::path file, existing_file existing) {
        if (!file.empty()) outputs_.push_back({std::move(file), existing});
    }

    /// For a folder that the work has to itself: no input and no output lies in it. It may be there, or is made.
    void use_folder(std::filesystem::path folder) { folder_ = std::move(folder); }

    /// Where outputs are noted before they get their names; see output_rule.
    void note_in(std::filesystem::path list) { rule_.noted_in = std::move(list); }

    /// What each output keeps to.
    [[nodiscard]] const output_rule& rule() const noexcept { return rule_; }

    /// Throws when some output must not be written (see require_destination), two are the same file, or one cannot be
    /// created, which is tried; or when the folder is no folder of its own. Removes what processes that were killed
    /// have left of the outputs.
    void check() const {
        for (std::size_t o = 0; o < outputs_.size(); ++o) {
            const std::filesystem::path& path = outputs_[o].path;
            require_destination(path, {rule_.inputs, outputs_[o].existing, rule_.noted_in});
            for (std::size_t other = 0; other < o; ++other)
                if (is_same_file(outputs_[other].path, path))
                    fail(path.string(), ": wanted a file for each output, got ", outputs_[other].path.string(),
                         " for another");
        }
        check_folder();
        for (const output& o : outputs_) const output_file attempt(o.path, 0);
    }

private:
    void check_folder() const {
        namespace fs = std::filesystem;
        if (folder_.empty()) return;
        const auto require_apart = [&](const fs::path& file) {
            if (is_same_file(file, folder_))
                fail(file.string(), ": wanted a file for each output, got ", folder_.string(), " for unfinished work");
            std::error_code unknown;
            if (fs::exists(folder_, unknown) && fs::equivalent(folder_of(file), folder_, unknown))
                fail(file.string(), ": wanted a file outside of ", folder_.string(),
                     ", which is for unfinished work, got one in it");
        };
        for (const fs::path& input : rule_.inputs) require_apart(input);
        for (const output& o : outputs_) require_apart(o.path);
        std::error_code unknown;
        const bool is_there = fs::exists(folder_, unknown);
        if (is_there && !fs::is_directory(folder_, unknown))
            fail(folder_.string(), ": wanted a folder for unfinished work, got something else");
        const fs::path writable = is_there ? folder_ : folder_of(folder_);
        if (::access(writable.c_str(), W_OK | X_OK) != 0)
            fail(folder_.string(), ": wanted a folder for unfinished work, got ", writable.string(), ": ",
                 std::strerror(errno));
    }

    struct output {
        std::filesystem::path path;
        existing_file existing;
    };
    output_rule rule_;
    std::vector<output> outputs_;
    std::filesystem::path folder_;
};

}  // namespace tessera
