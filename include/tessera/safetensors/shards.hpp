// Which files a model lies in.
#pragma once

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <map>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "tessera/core/error.hpp"
#include "tessera/json/parse.hpp"

namespace tessera::safetensors {

/// The files of a model, and, where an index says so, the file that each tensor must be in.
struct shard_list {
    std::vector<std::filesystem::path> files;
    std::map<std::string, std::size_t> placement;  ///< tensor name to position in `files`; empty without an index
};

namespace detail {

inline bool exists(const std::filesystem::path& path) {
    std::error_code ignored;  // what cannot be looked at is not there
    return std::filesystem::exists(path, ignored);
}

// Only plain file names: an index must not lead out of its folder.
inline bool is_plain_file_name(const std::string& name) {
    return !name.empty() && name != "." && name != ".." &&
           name.find_first_of(std::string("/\0", 2)) == std::string::npos;
}

}  // namespace detail

/// Reads a `model.safetensors.index.json`. Throws when its weight_map is not an object from tensor names to the names
/// of files that lie beside it.
[[nodiscard]] inline shard_list read_index(const std::filesystem::path& index) {
    const nlohmann::json json = load_json(index);
    const auto map = json.is_object() ? json.find("weight_map") : json.end();
    if (map == json.end() || !map->is_object()) fail(index.string(), ": wanted weight_map to be an object");

    shard_list shards;
    std::map<std::string, std::size_t> position;
    for (const auto& [tensor, file] : map->items()) {
        if (!file.is_string() || !detail::is_plain_file_name(file.get_ref<const std::string&>()))
            fail(index.string(), ": tensor ", tensor, ": wanted the name of a file beside the index, got ",
                 file.is_string() ? file.get<std::string>() : file.type_name());
        position.emplace(file.get<std::string>(), 0);
    }
    for (auto& [name, at] : position) {
        at = shards.files.size();
        shards.files.push_back(index.parent_path() / name);
        if (!detail::exists(shards.files.back()))
            fail(index.string(), ": wanted shard ", name, " beside it, got no such file");
    }
    for (const auto& [tensor, file] : map->items())
        shards.placement.emplace(tensor, position.at(file.get_ref<const std::string&>()));
    return shards;
}

/// The files that `path` means: a file, an index (`*.json`), or a directory with model.safetensors or its index.
[[nodiscard]] inline shard_list find_shards(const std::filesystem::path& path) {
    if (std::error_code ignored; std::filesystem::is_directory(path, ignored)) {
        if (detail::exists(path / "model.safetensors")) return {{path / "model.safetensors"}, {}};
        const std::filesystem::path index = path / "model.safetensors.index.json";
        if (!detail::exists(index))
            fail(path.string(), ": wanted model.safetensors or model.safetensors.index.json in it, got neither");
        return read_index(index);
    }
    if (path.extension() == ".json") return read_index(path);
    return {{path}, {}};
}

}  // namespace tessera::safetensors
