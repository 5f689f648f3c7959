// Umbrella: the damage that errors of tensors do, in nats of KL divergence.
#pragma once

#include "tessera/damage/ablate.hpp"
#include "tessera/damage/curve_points.hpp"
#include "tessera/damage/damage_meter.hpp"
#include "tessera/damage/depth_curves.hpp"
#include "tessera/damage/fit_damages.hpp"
#include "tessera/damage/kept_damage.hpp"
#include "tessera/damage/measure_damage.hpp"
#include "tessera/damage/measured_tensor.hpp"
#include "tessera/damage/measuring_design.hpp"
#include "tessera/damage/measuring_job.hpp"
#include "tessera/damage/plan_meter.hpp"
#include "tessera/damage/row_edits.hpp"
