// Runs the program `tessera` as a shell would.
#pragma once

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
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

/// The model that ships with the project, in `folder` as `fable-3m`.
inline void lay_out_model(const scratch_dir& folder) {
    if (!fs::exists(folder / "fable-3m"))
        fs::create_directory_symlink(project_dir() / "examples/models/fable-3m", folder / "fable-3m");
}

/// Runs `tessera ARGUMENTS` in `folder`, which holds the model that ships with the project as `fable-3m`.
inline outcome program(const scratch_dir& folder, const std::string& arguments) {
    lay_out_model(folder);
    return shell(folder, std::string("'" TESSERA_PROGRAM "' ") + arguments);
}

/// The same of the example program with a format of its own.
inline outcome own_program(const scratch_dir& folder, const std::string& arguments) {
    lay_out_model(folder);
    return shell(folder, std::string("'" TESSERA_OWN_PROGRAM "' ") + arguments);
}

/// The same, but a signal is sent once `is_time(process)` holds; the status is 128 and the signal's number where that
/// ended it. What a signal meets depends on events, then, and not on how fast the machine is. A busy one may still end
/// its work first.
template <class Condition>
outcome signalled(const scratch_dir& folder, const std::string& arguments, int signal, Condition&& is_time,
                  const std::string& name = TESSERA_PROGRAM) {
    lay_out_model(folder);
    const fs::path out = folder / ".out", err = folder / ".err";
    write_text(out, "");  // the signal may come before the shell has begun
    write_text(err, "");
    std::string line = "cd '" + folder.path().string() + "' && exec '" + name + "' " + arguments + " >'" +
                       out.string() + "' 2>'" + err.string() + "' </dev/null";
    ::pid_t child = 0;  // runs the shell once this is known: no signal meets handlers of the test's
    std::string shell = "sh", option = "-c";
    char* const words[] = {shell.data(), option.data(), line.data(), nullptr};
    if (::posix_spawn(&child, "/bin/sh", nullptr, nullptr, words, environ) != 0)
        throw std::runtime_error("cannot run " + line);
    int status = 0;
    bool is_sent = false;
    while (::waitpid(child, &status, is_sent ? 0 : WNOHANG) == 0)
        if (is_time(child)) {
            ::kill(child, signal);
            is_sent = true;
        }
    return {WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status), read_text(out), read_text(err)};
}

/// Whether a process has mapped the file of this name.
inline bool has_mapped(::pid_t process, const std::string& name) {
    std::ifstream maps("/proc/" + std::to_string(process) + "/maps");
    const std::string all{std::istreambuf_iterator<char>(maps), {}};
    return has(all, "/" + name + "\n");
}

}  // namespace support
