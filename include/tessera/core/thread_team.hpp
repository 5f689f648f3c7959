// The threads that loops share their items with. They sleep between loops.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>

#include "tessera/core/function_ref.hpp"

#ifdef _OPENMP
#include <omp.h>
#endif

namespace tessera::detail {

/// Threads of one that calls: whoever runs loops has helpers of its own, made when they are first needed. The caller
/// takes items itself and waits for nobody but those who are at one: helpers that the system has not woken by then
/// find the loop closed. So short loops cost little on a machine that is busy, and a helper without work nothing.
/// (OpenMP's threads wait awake for the next loop, which took most of the time of small models there.)
class thread_team {
public:
    thread_team() : state_(std::make_shared<state>()) {}
    thread_team(const thread_team&) = delete;
    thread_team& operator=(const thread_team&) = delete;
    ~thread_team() {
        if (owner_ != ::getpid()) return;
        const std::lock_guard lock(state_->access);
        state_->is_over = true;
        state_->open.notify_all();
    }

    /// The one of the thread that asks.
    [[nodiscard]] static thread_team& mine() {
        thread_local thread_team team;
        return team;
    }
    /// Whether the thread that asks is at an item of a loop: loops within it are its own.
    [[nodiscard]] static bool& is_at_work() noexcept {
        thread_local bool at_work = false;
        return at_work;
    }

    /// Calls body(i), which does not throw, once for every i in [0, count), in any order, on up to `threads` threads.
    void run(std::size_t count, int threads, function_ref<void(std::size_t)> body) {
        const openmp_off off;
        is_at_work() = true;
        leave_parent();
        const std::size_t wanted = std::min(static_cast<std::size_t>(threads), count) - 1;
        state& all = *state_;
        {
            const std::lock_guard lock(all.access);
            add_helpers(wanted);
            all.body = body;
            all.count = count;
            all.next = 0;
            all.seats = std::min(wanted, helpers_);
        }
        for (std::size_t n = 0; n < std::min(wanted, helpers_); ++n) all.open.notify_one();
        all.take_items();
        std::unique_lock lock(all.access);
        all.seats = 0;
        all.left.wait(lock, [&] { return all.helping == 0; });
        is_at_work() = false;
    }

private:
    struct state {
        std::mutex access;
        std::condition_variable open, left;
        function_ref<void(std::size_t)> body;
        std::size_t count = 0;
        std::atomic<std::size_t> next{0};
        std::size_t seats = 0;    // for helpers that may join the loop
        std::size_t helping = 0;  // that have joined it
        bool is_over = false;

        void take_items() {
            for (std::size_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < count;) body(i);
        }
        void help() {
            is_at_work() = true;
            const openmp_off off;
            std::unique_lock lock(access);
            for (;;) {
                open.wait(lock, [&] { return seats > 0 || is_over; });
                if (is_over) return;
                --seats;
                ++helping;
                lock.unlock();
                take_items();
                lock.lock();
                if (--helping == 0) left.notify_one();
            }
        }
    };

    // Keeps libraries that use OpenMP, such as Eigen, from threads of their own within a loop.
    class openmp_off {
    public:
#ifdef _OPENMP
        openmp_off() : before_(::omp_get_max_threads()) { ::omp_set_num_threads(1); }
        ~openmp_off() { ::omp_set_num_threads(before_); }
#else
        openmp_off() {}  // not trivial: an object of it is used
#endif
        openmp_off(const openmp_off&) = delete;
        openmp_off& operator=(const openmp_off&) = delete;

#ifdef _OPENMP
    private:
        int before_;
#endif
    };

    // After a fork there are no helpers, and one of the parent's may have held the lock.
    void leave_parent() {
        if (owner_ == ::getpid()) return;
        owner_ = ::getpid();
        state_ = std::make_shared<state>();
        helpers_ = 0;
    }

    // They share the state, and are not waited for when it is over.
    void add_helpers(std::size_t wanted) {
        for (; helpers_ < wanted; ++helpers_) try {
                std::thread([shared = state_] { shared->help(); }).detach();
            } catch (const std::system_error&) {
                return;  // no more threads are to be had: those there are do the work
            }
    }

    std::shared_ptr<state> state_;
    std::size_t helpers_ = 0;
    ::pid_t owner_ = ::getpid();
};

}  // namespace tessera::detail
