// Umbrella: how the bytes of a format are chosen. encode/error_feedback.hpp needs Eigen and is included by itself.
#pragma once

#include "tessera/encode/check.hpp"
#include "tessera/encode/encoders.hpp"
#include "tessera/encode/scale_search.hpp"
