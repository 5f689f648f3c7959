#include "interrupts.hpp"

#include <signal.h>
#include <unistd.h>

#include <csignal>
#include <string_view>

#include "tessera/core/stop.hpp"
#include "tessera/core/unpublished_files.hpp"

namespace cli {

namespace {

constexpr unsigned grace_seconds = 2;

volatile std::sig_atomic_t interrupted = 0;
volatile std::sig_atomic_t is_terminal = 0;

// All of this runs in signal handlers: no locks, no memory, no streams.
[[noreturn]] void end_at_once(int signal) {
    tessera::remove_unpublished_files();
    const std::string_view message = is_terminal != 0 ? "\ntessera: interrupted\n" : "tessera: interrupted\n";
    [[maybe_unused]] const auto written = ::write(STDERR_FILENO, message.data(), message.size());
    ::_exit(128 + signal);
}

void on_interrupt(int signal) {
    if (interrupted != 0) end_at_once(signal);
    interrupted = signal;
    tessera::request_stop();
    ::alarm(grace_seconds);
}

void on_alarm(int) { end_at_once(interrupted); }

void on_closed_pipe(int signal) {  // ends as it would without a handler
    tessera::remove_unpublished_files();
    ::signal(signal, SIG_DFL);
    ::raise(signal);
}

void handle(int signal, void (*handler)(int)) {
    struct ::sigaction action{};
    ::sigaction(signal, nullptr, &action);
    if (action.sa_handler == SIG_IGN) return;
    action = {};
    action.sa_handler = handler;
    action.sa_flags = SA_RESTART;
    ::sigaction(signal, &action, nullptr);
}

}  // namespace

void catch_interrupts() {
    is_terminal = ::isatty(STDERR_FILENO);
    handle(SIGALRM, on_alarm);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP}) handle(signal, on_interrupt);
    handle(SIGPIPE, on_closed_pipe);
    ::signal(SIGXFSZ, SIG_IGN);  // writing says so instead, and names the file
}

int interrupted_status() { return 128 + interrupted; }

}  // namespace cli
