// What a path that should name a model names instead, as a sentence that says what to do.
#pragma once

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "tessera/core/bytes.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/foreign_file.hpp"
#include "tessera/core/mapped_file.hpp"
#include "tessera/gguf/shard_name.hpp"

namespace tessera {

namespace detail {

inline bool is_there(const std::filesystem::path& path) {
    std::error_code ignored;
    return std::filesystem::exists(path, ignored);
}

// The names of the files in a directory, in order, at most some thousands.
inline std::vector<std::string> file_names(const std::filesystem::path& directory) {
    std::vector<std::string> names;
    std::error_code problem;
    for (std::filesystem::directory_iterator entry(directory, problem), end; !problem && entry != end;
         entry.increment(problem)) {
        names.push_back(entry->path().filename().string());
        if (names.size() == 10'000) break;
    }
    std::sort(names.begin(), names.end());
    return names;
}

// The first name that ends so, in lower case, or nothing.
inline const std::string* find_ending(const std::vector<std::string>& names, std::string_view ending) {
    const auto found =
        std::find_if(names.begin(), names.end(), [&](const std::string& name) { return name.ends_with(ending); });
    return found == names.end() ? nullptr : &*found;
}

// Weights in another form than safetensors.
inline std::optional<std::string> other_weights(const std::vector<std::string>& names) {
    constexpr std::string_view advice = ": save the model as safetensors (save_pretrained of transformers does)";
    for (const std::string_view ending : {".bin", ".pth", ".pt", ".h5", ".msgpack", ".npz", ".ckpt"})
        if (const std::string* name = find_ending(names, ending)) return concat("only ", *name, advice);
    if (const std::string* name = find_ending(names, ".onnx"))
        return concat("only an ONNX model, ", *name, ": take the checkpoint it was made from");
    return std::nullopt;
}

}  // namespace detail

/// Throws when `directory` cannot be a Hugging Face model: it says what is there instead.
inline void require_model_directory(const std::filesystem::path& directory) {
    const std::vector<std::string> names = detail::file_names(directory);
    const auto has = [&](std::string_view name) { return std::binary_search(names.begin(), names.end(), name); };
    const std::string where =
        directory.string() + ": wanted a model's directory, with config.json and safetensors, got ";
    const std::string* weights = detail::find_ending(names, ".safetensors");
    const bool has_model = has("model.safetensors") || has("model.safetensors.index.json");
    if (has("adapter_config.json") && !has_model)
        fail(where, "a LoRA adapter: merge it into its base model first (merge_and_unload of peft does) and give that");
    if (names.empty()) fail(where, "an empty one");
    const std::string* gguf = detail::find_ending(names, ".gguf");
    if (gguf != nullptr && weights == nullptr) {
        // The first file of a split model stands for all of it.
        std::vector<std::string> models;
        for (const std::string& name : names) {
            if (!name.ends_with(".gguf")) continue;
            const auto shard = gguf::parse_shard_name(name);
            if (!shard || shard->number == 1) models.push_back(name);
        }
        fail(where, "GGUF files: give one of them, ", (directory / (models.empty() ? *gguf : models.front())).string());
    }
    if (!has("config.json")) {
        if (has("params.json") || has("consolidated.safetensors"))
            fail(where, "one in the format of its maker, with params.json: take the one for transformers");
        if (weights != nullptr) fail(where, "no config.json beside ", *weights, ": download the whole directory");
        if (const auto other = detail::other_weights(names)) fail(where, *other);
        if (has("model_index.json")) fail(where, "a pipeline of diffusers: no language model");
        fail(where, "neither");
    }
    if (has_model) return;
    if (weights != nullptr)
        fail(where, *weights,
             ", but neither model.safetensors nor model.safetensors.index.json: download the whole directory");
    fail(where, detail::other_weights(names).value_or("no weights: download the whole directory"));
}

/// Throws when `file` is no GGUF file but one that belongs to a model of another kind, or is not there.
inline void require_model_file(const std::filesystem::path& file) {
    if (!detail::is_there(file)) fail(file.string(), ": wanted a GGUF file or a model's directory, got no such file");
    const std::string name = file.filename().string();
    const std::string directory = file.has_parent_path() ? file.parent_path().string() : ".";
    const std::string advice = concat("give its directory, ", directory,
                                      detail::is_there(std::filesystem::path(directory) / "config.json")
                                          ? ""
                                          : ", which must have config.json and the tokenizer, too");
    if (name.ends_with(".safetensors.index.json") || name == "config.json")
        fail(file.string(), ": wanted a GGUF file or a model's directory, got ", name, " of one: ", advice);
    const mapped_file content(file);
    if (const std::string_view what = recognize_foreign(content.bytes()); what == "a safetensors file")
        fail(file.string(), ": wanted a GGUF file or a model's directory, got ", what, ": ", advice);
}

}  // namespace tessera
