// What a file's formats need of the program that runs it.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "tessera/format/engines.hpp"

namespace cli {

/// "formats need llama.cpp from b2404 (March 2024), ...", and a warning when a format is not portable.
void print_needs(const tessera::engine_needs& needs);

/// The same for scripts: the text, the first build of every back end (null where one lacks a format), and what is not
/// portable.
nlohmann::ordered_json needs_json(const tessera::engine_needs& needs);

}  // namespace cli
