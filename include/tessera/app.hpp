// Umbrella: models by path, and what commands do with them.
#pragma once

#include "tessera/app/model_files.hpp"
#include "tessera/app/open_model.hpp"
#include "tessera/app/target_size.hpp"
