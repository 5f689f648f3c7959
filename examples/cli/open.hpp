// The one place that compiles the readers of all containers, which take a while.
#pragma once

#include <filesystem>

#include "tessera/pipeline/open_model.hpp"

namespace cli {

/// tessera::open_model, compiled once.
tessera::any_model open(const std::filesystem::path& path);

}  // namespace cli
