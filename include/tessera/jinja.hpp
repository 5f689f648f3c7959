// Umbrella: templates in the language of Jinja, and what engines make of them otherwise.
#pragma once

#include "tessera/jinja/check.hpp"
#include "tessera/jinja/text_template.hpp"
