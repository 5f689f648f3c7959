// The one place that compiles the readers of all containers, which take a while.
#pragma once

#include <cstddef>
#include <filesystem>

#include "commands.hpp"
#include "tessera/app/open_model.hpp"

namespace cli {

/// tessera::open_model, compiled once, with or without the layers for multi-token prediction. Prints the model's
/// notes.
tessera::any_model open(const std::filesystem::path& path, mtp_layers further = mtp_layers::kept,
                        tied_output tied = tied_output::embeddings);

/// The tokens of a window where nobody says: 512, or the context the model was trained for if that is shorter.
std::size_t default_window(const tessera::metadata& properties);

}  // namespace cli
