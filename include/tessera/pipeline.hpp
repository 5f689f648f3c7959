// Umbrella: opening, calibrating, measuring, planning, quantizing and evaluating whole models.
#pragma once

#include "tessera/pipeline/ablate.hpp"
#include "tessera/pipeline/calibrate.hpp"
#include "tessera/pipeline/damage_file.hpp"
#include "tessera/pipeline/evaluate.hpp"
#include "tessera/pipeline/measure_damage.hpp"
#include "tessera/pipeline/mix_model.hpp"
#include "tessera/pipeline/open_model.hpp"
#include "tessera/pipeline/output_metadata.hpp"
#include "tessera/pipeline/plan_file.hpp"
#include "tessera/pipeline/plan_meter.hpp"
#include "tessera/pipeline/quantize.hpp"
#include "tessera/pipeline/quantize_layer_by_layer.hpp"
#include "tessera/pipeline/quantize_with_feedback.hpp"
#include "tessera/pipeline/target_size.hpp"
