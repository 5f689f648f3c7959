// The files of a model, as far as names tell.
#pragma once

#include <algorithm>
#include <array>
#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "tessera/gguf/shard_name.hpp"

namespace tessera {

/// What belongs to the model at `path`, and must not be replaced by what is made of it: a GGUF file with all its
/// shards, or of a directory the weights, configuration, tokenizer and chat templates, read or not. Nothing is opened.
[[nodiscard]] inline std::vector<std::filesystem::path> model_files(const std::filesystem::path& path) {
    namespace fs = std::filesystem;
    constexpr auto names = std::to_array<std::string_view>(
        {"config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "tokenizer.model",
         "special_tokens_map.json", "added_tokens.json", "vocab.json", "vocab.txt", "merges.txt", "chat_template.jinja",
         "chat_template.json", "preprocessor_config.json", "processor_config.json", "hf_quant_config.json",
         "adapter_config.json", "params.json", "README.md", "LICENSE"});
    std::error_code unknown;
    if (!fs::is_directory(path, unknown)) {
        auto name = gguf::parse_shard_name(path);
        if (!name) return {path};
        std::vector<fs::path> shards;
        for (name->number = 1; name->number <= name->count; ++name->number) shards.push_back(name->path());
        return shards;
    }
    const auto belongs = [&](const std::string& name) {
        return std::ranges::find(names, name) != names.end() || name.ends_with(".safetensors") ||
               name.ends_with(".safetensors.index.json") || name.ends_with(".tiktoken") || name.ends_with(".jinja");
    };
    std::vector<fs::path> found;
    const auto add = [&](const fs::path& directory) {
        for (fs::directory_iterator entry(directory, unknown), end; !unknown && entry != end; entry.increment(unknown))
            if (belongs(entry->path().filename().string())) found.push_back(entry->path());
    };
    add(path);
    if (fs::is_directory(path / "additional_chat_templates", unknown)) add(path / "additional_chat_templates");
    return found;
}

}  // namespace tessera
