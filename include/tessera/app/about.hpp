// Errors that say what they are about.
#pragma once

#include <filesystem>
#include <string>

#include "tessera/core/error.hpp"

namespace tessera::app {

/// Calls f and puts the file it is about before the message of an error.
template <class Function>
decltype(auto) about(const std::filesystem::path& file, Function&& f) {
    try {
        return f();
    } catch (const error& e) {
        fail(file.string(), ": ", e.what());
    }
}

/// Calls f and puts how texts were read after the message of an error: what was left out may be why there is too
/// little.
template <class Function>
decltype(auto) with_framing(const std::string& framing, Function&& f) {
    try {
        return f();
    } catch (const error& e) {
        fail(e.what(), " (texts: ", framing, ')');
    }
}

}  // namespace tessera::app
