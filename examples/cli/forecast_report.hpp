// What a command would take (--dry-run).
#pragma once

#include "commands.hpp"
#include "tessera/app/forecast.hpp"

namespace cli {

/// On standard output: stages with time and memory, and what is written where.
void print_forecast(const tessera::app::forecast& forecast, printed as = printed::text);

}  // namespace cli
