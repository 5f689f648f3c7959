// One parallel loop, on OpenMP where the compiler has it.
#pragma once

#include <atomic>
#include <cstddef>
#include <exception>

#include "tessera/core/available_threads.hpp"
#include "tessera/core/function_ref.hpp"
#include "tessera/core/stop.hpp"

namespace tessera {

/// The threads to use for an option value: `requested`, or as many as this process may use when that is 0.
[[nodiscard]] inline int thread_count(int requested) { return requested > 0 ? requested : available_threads(); }

/// Runs loops in the place of parallel_for: every item once, in any order. For measuring them.
using loop_runner = function_ref<void(std::size_t count, function_ref<void(std::size_t)> body)>;

namespace detail {
inline constinit const loop_runner* watching_runner = nullptr;
}  // namespace detail

/// From now on all loops go to `runner`, which lives until that is taken back by null. Not while loops are at work.
inline void watch_loops(const loop_runner* runner) noexcept { detail::watching_runner = runner; }

/// Calls body(i) once for every i in [0, count), in any order, on up to `threads` threads (0: see thread_count).
/// The first exception stops the loop early and is thrown again here; so does request_stop. Without OpenMP the loop
/// runs on one thread.
template <class Body>
void parallel_for(std::size_t count, int threads, Body&& body) {
    if (detail::watching_runner != nullptr) return (*detail::watching_runner)(count, body);
    std::exception_ptr first_failure;
    std::atomic<bool> failed = false;
    [[maybe_unused]] const int team = thread_count(threads);
#ifdef _OPENMP
#pragma omp parallel for schedule(dynamic, 1) num_threads(team) if (team > 1 && count > 1)
#endif
    for (std::size_t i = 0; i < count; ++i) {
        if (failed.load(std::memory_order_relaxed)) continue;
        try {
            stop_if_requested();
            body(i);
        } catch (...) {
            if (!failed.exchange(true)) first_failure = std::current_exception();
        }
    }
    if (first_failure) std::rethrow_exception(first_failure);
}

}  // namespace tessera
