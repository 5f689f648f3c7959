// Umbrella: what errors of tensors cost at the output of a model.
#pragma once

#include "tessera/damage/ablate.hpp"
#include "tessera/damage/damage_meter.hpp"
#include "tessera/damage/measure_damage.hpp"
#include "tessera/damage/plan_meter.hpp"
#include "tessera/damage/row_edits.hpp"
