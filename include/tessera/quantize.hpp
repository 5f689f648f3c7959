// Umbrella: from a source and a plan to a sink.
#pragma once

#include "tessera/quantize/output_metadata.hpp"
#include "tessera/quantize/quantize.hpp"
#include "tessera/quantize/quantize_layer_by_layer.hpp"
#include "tessera/quantize/quantize_with_feedback.hpp"
