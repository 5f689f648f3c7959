// Umbrella: architectures as values, and the decoder that runs them layer by layer.
#pragma once

#include "tessera/decoder/model.hpp"
#include "tessera/decoder/mtp_layers.hpp"
