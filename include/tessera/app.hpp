// Umbrella: models by path, and the verbs: functions of plain options that do what the program's commands do, and never
// print.
#pragma once

#include "tessera/app/ablate.hpp"
#include "tessera/app/any_formats.hpp"
#include "tessera/app/calibrate.hpp"
#include "tessera/app/encoding.hpp"
#include "tessera/app/evaluate.hpp"
#include "tessera/app/inspect.hpp"
#include "tessera/app/listener.hpp"
#include "tessera/app/model_files.hpp"
#include "tessera/app/open_model.hpp"
#include "tessera/app/options.hpp"
#include "tessera/app/plan.hpp"
#include "tessera/app/quantize.hpp"
#include "tessera/app/target_size.hpp"
