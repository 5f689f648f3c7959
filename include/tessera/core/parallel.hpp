// One parallel loop.
#pragma once

#include <atomic>
#include <cstddef>
#include <exception>

#include "tessera/core/available_threads.hpp"
#include "tessera/core/function_ref.hpp"
#include "tessera/core/stop.hpp"
#include "tessera/core/thread_team.hpp"

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

/// Calls body(i) once for every i in [0, count), in any order, on up to `threads` threads (0: see thread_count). The
/// first exception stops the loop early and is thrown again here; so does request_stop. A loop within an item of
/// another one runs on that item's thread.
template <class Body>
void parallel_for(std::size_t count, int threads, Body&& body) {
    if (detail::watching_runner != nullptr)
        return (*detail::watching_runner)(count, [&](std::size_t i) {
            stop_if_requested();
            body(i);
        });
    std::exception_ptr first_failure;
    std::atomic<bool> failed = false;
    const auto item = [&](std::size_t i) {
        if (failed.load(std::memory_order_relaxed)) return;
        try {
            stop_if_requested();
            body(i);
        } catch (...) {
            if (!failed.exchange(true)) first_failure = std::current_exception();
        }
    };
    const int team = count > 1 && !detail::thread_team::is_at_work() ? thread_count(threads) : 1;
    if (team > 1)
        detail::thread_team::mine().run(count, team, item);
    else
        for (std::size_t i = 0; i < count; ++i) item(i);
    if (first_failure) std::rethrow_exception(first_failure);
}

}  // namespace tessera
