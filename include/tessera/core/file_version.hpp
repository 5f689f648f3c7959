// Versions of the files that this library writes.
#pragma once

#include <cstdint>
#include <string_view>

#include "tessera/core/error.hpp"

namespace tessera {

/// Throws unless the version of a file is one that is read: 1 to `newest`. The message says when a later release wrote
/// it.
inline void require_version(std::string_view where, std::uint64_t got, std::uint64_t newest) {
    if (got >= 1 && got <= newest) return;
    fail(where, ": wanted version ", newest, newest > 1 ? " or an earlier one" : "", ", got ", got,
         got > newest ? ", which a later release wrote" : "");
}

}  // namespace tessera
