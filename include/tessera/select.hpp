// Umbrella: from names and shapes to a plan.
#pragma once

#include "tessera/select/damage_table.hpp"
#include "tessera/select/plan.hpp"
#include "tessera/select/rules.hpp"
#include "tessera/select/strategies.hpp"
#include "tessera/select/tied_table.hpp"
