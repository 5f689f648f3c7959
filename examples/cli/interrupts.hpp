// What happens when the program is told to end.
#pragma once

#include <exception>

namespace cli {

/// Thrown by work that was asked to stop; no tessera::error, which some work takes for a fault of its data.
class interruption : public std::exception {
public:
    explicit interruption(int signal) : signal_(signal) {}
    [[nodiscard]] const char* what() const noexcept override { return "interrupted"; }
    /// As shells have it.
    [[nodiscard]] int exit_status() const noexcept { return 128 + signal_; }

private:
    int signal_;
};

/// From now on the first SIGINT, SIGTERM or SIGHUP asks work to stop. Work that does not within two seconds, and a
/// second signal, end the program at once. Nothing is left of files that have not got their names yet in either case,
/// nor when nobody reads what is printed. A signal that was ignored before stays so (nohup).
void catch_interrupts();

/// Throws an interruption when work was asked to stop.
void stop_if_interrupted();

}  // namespace cli
