// Umbrella: what the bytes of every built-in format mean.
#pragma once

#include "tessera/format/builtin.hpp"
#include "tessera/format/check.hpp"
#include "tessera/format/combination.hpp"
#include "tessera/format/concepts.hpp"
#include "tessera/format/registry.hpp"
