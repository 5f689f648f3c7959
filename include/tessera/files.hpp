// Umbrella: plans and damage tables as files, folders of unfinished work.
#pragma once

#include "tessera/files/damage_file.hpp"
#include "tessera/files/plan_file.hpp"
#include "tessera/files/work_folder.hpp"
