// Umbrella: what formats and encoders have to keep, for tests of one's own. Not part of tessera.hpp.
#pragma once

#include "tessera/testing/encoders.hpp"
#include "tessera/testing/formats.hpp"
