// Umbrella: reading and writing safetensors files.
#pragma once

#include "tessera/safetensors/reader.hpp"
#include "tessera/safetensors/writer.hpp"
