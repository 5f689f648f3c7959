// Umbrella: how the bytes of a format are chosen.
#pragma once

#include "tessera/encode/encoders.hpp"
#include "tessera/encode/scale_search.hpp"
