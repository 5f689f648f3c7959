// What the commands tell of a plan.
#pragma once

#include <string>

#include "tessera/core/metadata.hpp"
#include "tessera/select/plan.hpp"

namespace cli {

/// Every tensor on a line.
void print_tensors(const tessera::select::plan& plan);

/// Every format on a line.
void print_formats(const tessera::select::plan& plan);

/// A note for each kind of tensors that did not get the format asked for.
void print_replacements(const tessera::select::plan& plan);

/// The predicted divergence, where it is known.
void print_prediction(const tessera::select::plan& plan);

/// "1,658,080 bytes (1.66 MB), 4.983 bits per weight": of the file the plan makes. `properties` are the source's.
std::string size_text(const tessera::select::plan& plan, const tessera::metadata& properties);

}  // namespace cli
