// What a command would take (--dry-run).
#pragma once

#include "commands.hpp"
#include "tessera/app/forecast.hpp"
#include "tessera/app/listener.hpp"
#include "tessera/core/function_ref.hpp"

namespace cli {

/// On standard output: stages with time and memory, and what is written where.
void print_forecast(const app::forecast& forecast, printed as);

/// What foretell(listener) returns for a dry run. What that says goes to standard error where JSON will be printed.
app::forecast foretold(printed as, tessera::function_ref<app::forecast(const app::listener&)> foretell);

}  // namespace cli
