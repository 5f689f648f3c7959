// Umbrella: from names and shapes to a plan.
#pragma once

#include "tessera/select/budget.hpp"
#include "tessera/select/concepts.hpp"
#include "tessera/select/curve.hpp"
#include "tessera/select/damage_curve.hpp"
#include "tessera/select/damage_table.hpp"
#include "tessera/select/menu.hpp"
#include "tessera/select/mix_model.hpp"
#include "tessera/select/mix_table.hpp"
#include "tessera/select/multiple_choice.hpp"
#include "tessera/select/plan.hpp"
#include "tessera/select/predict.hpp"
#include "tessera/select/refined.hpp"
#include "tessera/select/rules.hpp"
#include "tessera/select/standard_mix.hpp"
#include "tessera/select/strategies.hpp"
