// Umbrella: packed matrices, sources and sinks.
#pragma once

#include "tessera/tensor/concepts.hpp"
#include "tessera/tensor/memory.hpp"
#include "tessera/tensor/overlay_source.hpp"
#include "tessera/tensor/packed_matrix.hpp"
#include "tessera/tensor/simulating_sink.hpp"
