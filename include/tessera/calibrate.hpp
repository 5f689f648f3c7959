// Umbrella: importances of columns and their files.
#pragma once

#include "tessera/calibrate/imatrix.hpp"
#include "tessera/calibrate/importance_table.hpp"
#include "tessera/calibrate/rare_matrices.hpp"
