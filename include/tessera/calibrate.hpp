// Umbrella: statistics of activations, importances of columns and their files.
#pragma once

#include "tessera/calibrate/calibrate.hpp"
#include "tessera/calibrate/checkpoint.hpp"
#include "tessera/calibrate/compensation.hpp"
#include "tessera/calibrate/findings.hpp"
#include "tessera/calibrate/imatrix.hpp"
#include "tessera/calibrate/importance_table.hpp"
#include "tessera/calibrate/input_collector.hpp"
#include "tessera/calibrate/input_statistics.hpp"
#include "tessera/calibrate/kept_states.hpp"
#include "tessera/calibrate/rare_matrices.hpp"
