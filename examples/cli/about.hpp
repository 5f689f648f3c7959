// Errors that name the file they are about.
#pragma once

#include <filesystem>

#include "tessera/core/error.hpp"

namespace cli {

/// Calls f and puts the file it is about before the message of an error.
template <class Function>
decltype(auto) about(const std::filesystem::path& file, Function&& f) {
    try {
        return f();
    } catch (const tessera::error& e) {
        tessera::fail(file.string(), ": ", e.what());
    }
}

}  // namespace cli
