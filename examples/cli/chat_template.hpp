// What commands tell of a model's chat templates.
#pragma once

#include <vector>

#include <nlohmann/json.hpp>

#include "tessera/app/chat_templates.hpp"

namespace cli {

/// Whether they parse, and what engines make of them otherwise than transformers.
void print_chat_templates(const std::vector<tessera::app::checked_template>& all);
nlohmann::ordered_json chat_templates_json(const std::vector<tessera::app::checked_template>& all);

}  // namespace cli
