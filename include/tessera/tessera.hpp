// Umbrella of umbrellas: everything. A program that needs less includes less and compiles faster.
#pragma once

#include "tessera/calibrate.hpp"
#include "tessera/config.hpp"
#include "tessera/encode.hpp"
#include "tessera/format.hpp"
#include "tessera/gguf.hpp"
#include "tessera/measure.hpp"
#include "tessera/model.hpp"
#include "tessera/pipeline.hpp"
#include "tessera/safetensors.hpp"
#include "tessera/select.hpp"
#include "tessera/tensor.hpp"
#include "tessera/text.hpp"
#include "tessera/version.hpp"
