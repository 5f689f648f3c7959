// The names by which the files of a split model find each other.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace tessera::gguf {

/// `<prefix>-<number>-of-<count>.gguf`, both of five digits, the number from 1.
struct shard_name {
    std::filesystem::path prefix;
    std::uint32_t number = 1;
    std::uint32_t count = 1;

    [[nodiscard]] std::filesystem::path path() const {
        char suffix[40];
        std::snprintf(suffix, sizeof suffix, "-%05u-of-%05u.gguf", unsigned{number}, unsigned{count});
        return std::filesystem::path(prefix) += suffix;
    }
};

/// Takes a path apart, or returns nothing when it is not named by the convention.
[[nodiscard]] inline std::optional<shard_name> parse_shard_name(const std::filesystem::path& path) {
    constexpr std::string_view pattern = "-#####-of-#####.gguf";
    const std::string text = path.string();
    if (text.size() <= pattern.size()) return std::nullopt;
    const std::size_t start = text.size() - pattern.size();
    shard_name name{.prefix = text.substr(0, start), .number = 0, .count = 0};
    for (std::size_t i = 0; i < pattern.size(); ++i) {
        const char c = text[start + i];
        if (pattern[i] != '#') {
            if (c != pattern[i]) return std::nullopt;
        } else {
            if (c < '0' || c > '9') return std::nullopt;
            std::uint32_t& field = i < pattern.find("-of-") ? name.number : name.count;
            field = field * 10 + static_cast<std::uint32_t>(c - '0');
        }
    }
    return name;
}

/// The name without what a shard or a file has at its end: "a/model" for "a/model.gguf".
[[nodiscard]] inline std::filesystem::path shard_prefix(const std::filesystem::path& path) {
    if (const auto name = parse_shard_name(path)) return name->prefix;
    return path.extension() == ".gguf" ? std::filesystem::path(path).replace_extension() : path;
}

}  // namespace tessera::gguf
