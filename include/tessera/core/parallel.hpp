// One parallel loop, on OpenMP where the compiler has it.
#pragma once

#include <atomic>
#include <cstddef>
#include <exception>
#include <thread>

#include "tessera/core/stop.hpp"

namespace tessera {

/// The threads to use for an option value: `requested`, or all of the machine's when that is 0.
[[nodiscard]] inline int thread_count(int requested) noexcept {
    if (requested > 0) return requested;
    const unsigned available = std::thread::hardware_concurrency();
    return available == 0 ? 1 : static_cast<int>(available);
}

/// Calls body(i) once for every i in [0, count), in any order, on up to `threads` threads (0: all of the machine's).
/// The first exception stops the loop early and is thrown again here; so does request_stop. Without OpenMP the loop
/// runs on one thread.
template <class Body>
void parallel_for(std::size_t count, int threads, Body&& body) {
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
