// The control groups of this process, which limit what it may use.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <string>
#include <string_view>

namespace tessera {

namespace detail {

// A whole small file; empty when it cannot be read.
[[nodiscard]] inline std::string small_file(const std::string& path) {
    constexpr std::size_t most = 1 << 16;
    std::string text;
    if (std::FILE* const file = std::fopen(path.c_str(), "rb")) {
        text.resize(most);
        text.resize(std::fread(text.data(), 1, most, file));
        std::fclose(file);
    }
    return text;
}

}  // namespace detail

enum class cgroup_version { v1, v2 };

/// Calls visit(folder, version) for the folders of the groups by which a controller ("cpu") limits this process: its
/// own, and those that they are in, up to the roots. Everything is looked for below `root`.
template <class Visit>
void for_each_control_group(const std::string& root, std::string_view controller, Visit&& visit) {
    const std::string groups = detail::small_file(root + "/proc/self/cgroup"), mounts = root + "/sys/fs/cgroup";
    const auto climb = [&](const std::string& mount, std::string path, cgroup_version version) {
        for (;;) {
            visit(mount + path, version);
            const std::size_t slash = path.find_last_of('/');
            if (path.empty() || slash == std::string::npos) return;
            path.erase(slash);
        }
    };
    for (std::size_t begin = 0; begin < groups.size();) {  // "NUMBER:CONTROLLERS:PATH", a line each
        const std::size_t end = std::min(groups.find('\n', begin), groups.size());
        const std::string_view line = std::string_view(groups).substr(begin, end - begin);
        begin = end + 1;
        const std::size_t first = line.find(':'), second = line.find(':', first == line.npos ? first : first + 1);
        if (second == std::string_view::npos) continue;
        const std::string_view controllers = line.substr(first + 1, second - first - 1);
        std::string path(line.substr(second + 1));
        if (path == "/" || path.find("/..") != std::string::npos) path.clear();  // of a namespace: its root is ours
        if (controllers.empty()) {
            climb(mounts, path, cgroup_version::v2);
            climb(mounts + "/unified", path, cgroup_version::v2);
            continue;
        }
        for (std::size_t at = 0; at <= controllers.size();) {
            const std::size_t comma = std::min(controllers.find(',', at), controllers.size());
            if (controllers.substr(at, comma - at) == controller)
                for (const std::string& name : {std::string(controller), std::string(controllers)})
                    climb(mounts + '/' + name, path, cgroup_version::v1);
            at = comma + 1;
        }
    }
}

}  // namespace tessera
