// Umbrella: JSON text to values and back, within limits.
#pragma once

#include "tessera/json/parse.hpp"
#include "tessera/json/text.hpp"
