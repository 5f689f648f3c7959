// Chat templates: text in Jinja's language, handed on as it is.
#pragma once

#include <algorithm>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/core/metadata.hpp"
#include "tessera/huggingface/vocabulary/json.hpp"
#include "tessera/text/text_file.hpp"

namespace tessera::huggingface {

namespace detail {

inline std::string read_template(const std::filesystem::path& path) {
    return std::string(text::text_file(path).text());
}

// Templates by name: "default" is the one without a name of its own.
using template_map = std::map<std::string, std::string>;

// One template, a list of {"name": ..., "template": ...}, or an object of templates by name.
inline template_map templates_of(const json_value& value) {
    template_map templates;
    if (value.get().is_string()) return {{"default", value.string()}};
    if (value.get().is_object()) {
        for (auto entry = value.get().begin(); entry != value.get().end(); ++entry)
            if (const auto named = value.find(entry.key())) templates[entry.key()] = named->string();
        return templates;
    }
    if (!value.get().is_array()) value.mismatch("a string, a list or an object of chat templates");
    value.for_each(
        [&](const json_value& entry) { templates[entry.at("name").string()] = entry.at("template").string(); });
    return templates;
}

inline template_map templates_in(const std::filesystem::path& directory) {
    namespace fs = std::filesystem;
    template_map templates;
    if (const fs::path plain = directory / "chat_template.jinja"; fs::exists(plain)) {
        templates["default"] = read_template(plain);
        if (const fs::path others = directory / "additional_chat_templates"; fs::is_directory(others))
            for (const fs::directory_entry& entry : fs::directory_iterator(others))
                if (entry.path().extension() == ".jinja")
                    templates[entry.path().stem().string()] = read_template(entry.path());
    } else if (const fs::path packed = directory / "chat_template.json"; fs::exists(packed)) {
        const json content = read_json(packed);
        if (const auto value = root_of(content, packed).find("chat_template")) templates = templates_of(*value);
    }
    return templates;
}

}  // namespace detail

/// Adds `tokenizer.chat_template` and its named variants from tokenizer_config.json, else from files of their own.
inline void add_chat_templates(const std::filesystem::path& directory, const json_value& tokenizer_config,
                               metadata& out) {
    const auto configured = tokenizer_config.find("chat_template");
    const detail::template_map templates =
        configured ? detail::templates_of(*configured) : detail::templates_in(directory);
    std::vector<std::string> names;
    for (const auto& [name, source] : templates)
        if (name != "default") names.push_back(name);
    if (!names.empty()) out.set("tokenizer.chat_templates", names);
    for (const auto& [name, source] : templates)
        out.set(name == "default" ? "tokenizer.chat_template" : "tokenizer.chat_template." + name, source);
}

}  // namespace tessera::huggingface
