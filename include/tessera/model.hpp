// Umbrella: Hugging Face directories as sources, architectures, the decoder.
#pragma once

#include "tessera/model/decoder.hpp"
#include "tessera/model/hf_model.hpp"
#include "tessera/model/next_token_layers.hpp"
