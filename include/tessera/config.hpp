// The only home of macros besides version.hpp.
#pragma once

#include <cassert>

/// Checks what the *caller* must guarantee; wrong data throws tessera::error instead. Follows NDEBUG, as assert does.
#define TESSERA_ASSERT(condition, message) assert((condition) && (message))
