// Umbrella: from a source and a plan to a sink.
#pragma once

#include "tessera/quantize/encoding_job.hpp"
#include "tessera/quantize/from_importances.hpp"
#include "tessera/quantize/from_quantized_inputs.hpp"
#include "tessera/quantize/from_text.hpp"
#include "tessera/quantize/kept_encoding.hpp"
#include "tessera/quantize/output_metadata.hpp"
#include "tessera/quantize/pack.hpp"
#include "tessera/quantize/quantize.hpp"
#include "tessera/quantize/schedule.hpp"
#include "tessera/quantize/tensor_report.hpp"
