// Umbrella: measures of a candidate model against a reference.
#pragma once

#include "tessera/measure/concepts.hpp"
#include "tessera/measure/kl_divergence.hpp"
#include "tessera/measure/statistics.hpp"
