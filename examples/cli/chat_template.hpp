// A model's chat templates: what is to be said about them, and another one in their place.
#pragma once

#include <filesystem>

#include <nlohmann/json.hpp>

#include "tessera/core/metadata.hpp"

namespace cli {

/// For every template whether it parses, and what llama.cpp takes otherwise than Jinja.
void print_chat_templates(const tessera::metadata& properties);
nlohmann::ordered_json chat_templates_json(const tessera::metadata& properties);

/// A model's metadata with a file's template in the place of its own ones; as they are when no file is named. Throws
/// when the template does not parse.
tessera::metadata with_chat_template(tessera::metadata properties, const std::filesystem::path& file);

}  // namespace cli
