// The program `tessera`, with the built-in formats.
#include "cli/run.hpp"
#include "tessera/format/builtin.hpp"

int main(int argc, char** argv) { return cli::run<tessera::builtin_formats>(argc, argv); }
