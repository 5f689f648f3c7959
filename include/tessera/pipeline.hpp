// Umbrella: opening, calibrating, quantizing and evaluating whole models.
#pragma once

#include "tessera/pipeline/calibrate.hpp"
#include "tessera/pipeline/evaluate.hpp"
#include "tessera/pipeline/open_model.hpp"
#include "tessera/pipeline/output_metadata.hpp"
#include "tessera/pipeline/quantize.hpp"
