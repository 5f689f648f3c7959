// Umbrella: GGUF files.
#pragma once

#include "tessera/gguf/layout.hpp"
#include "tessera/gguf/reader.hpp"
#include "tessera/gguf/writer.hpp"
