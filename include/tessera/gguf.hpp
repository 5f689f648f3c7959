// Umbrella: GGUF files.
#pragma once

#include "tessera/gguf/file_type.hpp"
#include "tessera/gguf/layout.hpp"
#include "tessera/gguf/reader.hpp"
#include "tessera/gguf/writer.hpp"
