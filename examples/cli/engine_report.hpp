// What a file's formats need of the program that runs it.
#pragma once

#include <span>

#include <nlohmann/json_fwd.hpp>

#include "tessera/core/tensor_info.hpp"

namespace cli {

/// "formats need llama.cpp from b2404 (March 2024), ...", and a warning when a format of the tensors is not portable.
void print_needs(std::span<const tessera::tensor_info> tensors);

/// The same for scripts: the text, the first build of every back end (null where one lacks a format), and what is not
/// portable.
nlohmann::ordered_json needs_json(std::span<const tessera::tensor_info> tensors);

}  // namespace cli
