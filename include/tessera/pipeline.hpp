// Umbrella: opening, quantizing and evaluating whole models.
#pragma once

#include "tessera/pipeline/damage_file.hpp"
#include "tessera/pipeline/evaluate.hpp"
#include "tessera/pipeline/open_model.hpp"
#include "tessera/pipeline/output_metadata.hpp"
#include "tessera/pipeline/quantize.hpp"
