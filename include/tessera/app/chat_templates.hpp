// A model's chat templates: whether they parse, and what engines make of them.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/core/metadata.hpp"
#include "tessera/jinja/lint.hpp"
#include "tessera/jinja/text_template.hpp"
#include "tessera/text/chat.hpp"
#include "tessera/text/text_file.hpp"

namespace tessera::app {

struct checked_template {
    std::string key;
    std::string problem{};  ///< empty when it parses
    std::vector<jinja::finding> findings{};
};

/// All chat templates of a model, in the order of its metadata.
[[nodiscard]] inline std::vector<checked_template> check_chat_templates(const metadata& properties) {
    using text::chat_template_key;
    std::vector<checked_template> all;
    for (const auto& [key, value] : properties) {
        const auto* source = std::get_if<std::string>(&value);
        if (source == nullptr || (key != chat_template_key && !key.starts_with(std::string(chat_template_key) + ".")))
            continue;
        checked_template one{key};
        try {
            one.findings = lint(jinja::text_template(*source, key));
        } catch (const error& e) {
            one.problem = e.what();
        }
        all.push_back(std::move(one));
    }
    return all;
}

/// The metadata with the template in a file in the place of all that are there; the same without a file. Throws when it
/// does not parse.
[[nodiscard]] inline metadata with_chat_template(metadata properties, const std::filesystem::path& file) {
    constexpr std::string_view key_of_names = "tokenizer.chat_templates";
    using text::chat_template_key;
    if (file.empty()) return properties;
    const std::string source(text::text_file(file).text());
    const jinja::text_template parsed(source, file.string());
    if (const auto* names = properties.get<std::vector<std::string>>(key_of_names))
        for (const std::string& name : std::vector(*names))
            properties.erase(std::string(chat_template_key) + "." + name);
    properties.erase(key_of_names);
    properties.set(std::string(chat_template_key), source);
    return properties;
}

}  // namespace tessera::app
