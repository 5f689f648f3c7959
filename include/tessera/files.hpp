// Umbrella: plans and damage tables as files.
#pragma once

#include "tessera/files/damage_file.hpp"
#include "tessera/files/plan_file.hpp"
