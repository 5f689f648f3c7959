// Umbrella: how far candidate weights and models are from their references.
#pragma once

#include "tessera/measure/compare.hpp"
#include "tessera/measure/concepts.hpp"
#include "tessera/measure/evaluate.hpp"
#include "tessera/measure/kept_logits.hpp"
#include "tessera/measure/kl_divergence.hpp"
#include "tessera/measure/scored_model.hpp"
#include "tessera/measure/statistics.hpp"
#include "tessera/measure/weight_error.hpp"
