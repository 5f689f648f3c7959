// Runs the program `tessera` as a shell would.
#pragma once

#include <sys/wait.h>

#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>

#include "support/support.hpp"

namespace support {

struct outcome {
    int status = -1;
    std::string out, err;
};

/// Runs a shell command in `folder` and keeps what it prints.
inline outcome shell(const scratch_dir& folder, const std::string& command) {
    const fs::path out = folder / ".out", err = folder / ".err";
    const std::string line = "cd '" + folder.path().string() + "' && { " + command + "\n} >'" + out.string() + "' 2>'" +
                             err.string() + "' </dev/null";
    const int status = std::system(line.c_str());
    if (!WIFEXITED(status)) throw std::runtime_error("killed: " + command);
    return {WEXITSTATUS(status), read_text(out), read_text(err)};
}

/// Runs `tessera ARGUMENTS` in `folder`, which holds the model that ships with the project as `fable-3m`.
inline outcome program(const scratch_dir& folder, const std::string& arguments) {
    if (!fs::exists(folder / "fable-3m"))
        fs::create_directory_symlink(project_dir() / "examples/models/fable-3m", folder / "fable-3m");
    return shell(folder, std::string("'" TESSERA_PROGRAM "' ") + arguments);
}

}  // namespace support
