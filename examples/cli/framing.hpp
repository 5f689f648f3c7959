// Errors that say how texts were read.
#pragma once

#include <string>

#include "tessera/core/error.hpp"

namespace cli {

/// Calls f and puts how the texts were read after the message of an error: what was left out may be why there is too
/// little.
template <class Function>
decltype(auto) with_framing(const std::string& framing, Function&& f) {
    try {
        return f();
    } catch (const tessera::error& e) {
        tessera::fail(e.what(), " (texts: ", framing, ')');
    }
}

}  // namespace cli
