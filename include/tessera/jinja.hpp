// Umbrella: templates in the language of Jinja, and a linter for them. jinja/from_json.hpp needs a JSON library and is
// included by itself.
#pragma once

#include "tessera/jinja/lint.hpp"
#include "tessera/jinja/text_template.hpp"
