// The files that a path, a directory or a pattern stands for.
#pragma once

#include <glob.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "tessera/core/error.hpp"

namespace tessera::text {

/// The text files that `pattern` stands for, in order of their names: the file of this name, all *.txt, *.md and
/// *.jsonl files in and below the directory of this name, or what the shell pattern (* ? [...]) matches. Throws when
/// there is none.
[[nodiscard]] inline std::vector<std::filesystem::path> find_text_files(const std::string& pattern) {
    namespace fs = std::filesystem;
    std::vector<fs::path> found;
    const auto add_directory = [&](const fs::path& directory) {
        for (const auto& entry : fs::recursive_directory_iterator(directory)) {
            const fs::path extension = entry.path().extension();
            const bool is_text = extension == ".txt" || extension == ".md" || extension == ".jsonl";
            if (entry.is_regular_file() && is_text) found.push_back(entry.path());
        }
    };
    if (fs::is_directory(pattern)) {
        add_directory(pattern);
        if (found.empty()) fail(pattern, ": wanted *.txt, *.md or *.jsonl files in the directory, got none");
    } else if (fs::exists(pattern)) {
        found.emplace_back(pattern);
    } else {
        ::glob_t matches{};
        const int result = ::glob(pattern.c_str(), 0, nullptr, &matches);
        for (std::size_t i = 0; result == 0 && i < matches.gl_pathc; ++i) {
            const fs::path match = matches.gl_pathv[i];
            if (fs::is_regular_file(match)) found.push_back(match);
        }
        ::globfree(&matches);
        if (found.empty()) fail(pattern, ": wanted a file, a directory or a pattern that matches files, got none");
    }
    std::ranges::sort(found);
    return found;
}

}  // namespace tessera::text
