// The program `tessera` with any list of formats:
//
//     #include "cli/run.hpp"
//     #include "my_format.hpp"
//     int main(int argc, char** argv) { return cli::run<tessera::builtin_formats::extend<my_format>>(argc, argv); }
//
// Only what depends on the formats' types is compiled here; the rest is the library `tessera::cli`.
#pragma once

#include "tessera/app/encoding.hpp"

namespace cli {

/// Runs the command line with these formats; the result is the exit status.
int run(int argc, char** argv, const tessera::app::any_encoders& formats);

template <class Formats>
int run(int argc, char** argv) {
    return run(argc, argv, tessera::app::any_encoders(Formats{}));
}

}  // namespace cli
