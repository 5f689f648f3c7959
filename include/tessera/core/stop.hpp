// Asking work to stop, from any thread or a signal handler.
#pragma once

#include <atomic>
#include <exception>

namespace tessera {

/// Thrown by work that was asked to stop; no tessera::error, which some work takes for a fault of its data.
class stopped : public std::exception {
public:
    [[nodiscard]] const char* what() const noexcept override { return "stopped"; }
};

namespace detail {
inline constinit std::atomic<bool> stop_is_requested{false};
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler takes no locks");
}  // namespace detail

/// Asks all work of the process to stop: every loop of parallel_for throws `stopped` before its next step, and so does
/// what calls stop_if_requested. May be called from any thread, and from a signal handler. What is kept in work folders
/// stays, and the same work goes on from there.
inline void request_stop() noexcept { detail::stop_is_requested.store(true, std::memory_order_relaxed); }

/// Work may begin again.
inline void withdraw_stop() noexcept { detail::stop_is_requested.store(false, std::memory_order_relaxed); }

/// For loops of one's own, where a step takes a part of a second.
inline void stop_if_requested() {
    if (detail::stop_is_requested.load(std::memory_order_relaxed)) throw stopped();
}

}  // namespace tessera
