// What the commands tell of a plan.
#pragma once

#include <cstdint>
#include <string>

#include "tessera/select/budget.hpp"
#include "tessera/select/plan.hpp"

namespace cli {

/// Every tensor on a line.
void print_tensors(const tessera::select::plan& plan);

/// Every format on a line.
void print_formats(const tessera::select::plan& plan);

/// Notes on what did not become what was asked for: rows that do not fit a format and what that costs, tensors that
/// stay as they are.
void print_notes(const tessera::select::plan& plan);

/// Notes on what a budget's plan rests on: formats that rows do not fit, tensors whose damage could not be measured.
void print_basis(const tessera::select::plan& plan, const tessera::select::budget& budget);

/// The predicted divergence, where it is known.
void print_prediction(const tessera::select::plan& plan);

/// "1,658,080 bytes (1.66 MB), 4.983 bits per weight": of a plan and the file that holds it.
std::string size_text(const tessera::select::plan& plan, std::uint64_t file_bytes);

}  // namespace cli
