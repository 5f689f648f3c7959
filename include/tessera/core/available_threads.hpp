// How many threads this process should use where nobody says: what OpenMP was told, what the scheduler lets it run on,
// and what its control groups grant.
#pragma once

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdlib>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "tessera/core/control_groups.hpp"

#ifdef __linux__
#include <sched.h>
#endif

namespace tessera {

namespace detail {

// The number that a text begins with, blanks left out; 0 when there is none.
[[nodiscard]] inline double leading_number(std::string_view text) noexcept {
    while (!text.empty() && std::isspace(static_cast<unsigned char>(text.front())) != 0) text.remove_prefix(1);
    long long value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc() ? static_cast<double>(value) : 0.0;
}

}  // namespace detail

/// The first number of a list as OMP_NUM_THREADS has one; 0 when it is none, or null.
[[nodiscard]] inline int first_of_thread_list(const char* list) noexcept {
    constexpr double most = 1 << 16;
    const double first = list == nullptr ? 0.0 : detail::leading_number(list);
    return first >= 1 ? static_cast<int>(std::min(first, most)) : 0;
}

/// The processors' time that the control groups of this process grant, their parents included, in processors; 0 when
/// they do not limit it. Reads cpu.max (version 2) and cpu.cfs_quota_us (version 1) below `root`.
[[nodiscard]] inline double cgroup_cpus(const std::string& root = "") {
    const auto quota_2 = [](const std::string& folder) {
        const std::string text = detail::small_file(folder + "/cpu.max");  // "QUOTA PERIOD", "max PERIOD"
        const std::size_t blank = text.find(' ');
        if (blank == std::string::npos) return 0.0;
        const double period = detail::leading_number(std::string_view(text).substr(blank));
        return period > 0 ? std::max(detail::leading_number(text), 0.0) / period : 0.0;
    };
    const auto quota_1 = [](const std::string& folder) {
        const double period = detail::leading_number(detail::small_file(folder + "/cpu.cfs_period_us"));
        const double quota = detail::leading_number(detail::small_file(folder + "/cpu.cfs_quota_us"));  // -1: none
        return period > 0 && quota > 0 ? quota / period : 0.0;
    };
    double least = 0;
    for_each_control_group(root, "cpu", [&](const std::string& folder, cgroup_version version) {
        const double cpus = version == cgroup_version::v2 ? quota_2(folder) : quota_1(folder);
        if (cpus > 0) least = least == 0 ? cpus : std::min(least, cpus);
    });
    return least;
}

/// The processors that the scheduler may run this process on; 0 when nothing is known.
[[nodiscard]] inline int affinity_cpus() {
#ifdef __linux__
    constexpr std::size_t most = 1 << 16;
    for (std::size_t cpus = 1024; cpus <= most; cpus *= 4) {  // kernels refuse sets that are too small for them
        const std::size_t bytes = CPU_ALLOC_SIZE(cpus);
        std::vector<unsigned long> set(bytes / sizeof(unsigned long) + 1);
        auto* const mask = reinterpret_cast<cpu_set_t*>(set.data());
        if (::sched_getaffinity(0, bytes, mask) == 0) return CPU_COUNT_S(bytes, mask);
    }
#endif
    return 0;
}

/// What limits the number of threads of a process; 0 where something does not.
struct thread_limits {
    int machine = 0;   ///< hardware threads
    int openmp = 0;    ///< what OMP_NUM_THREADS wants
    int affinity = 0;  ///< processors it may run on
    double quota = 0;  ///< processors' time that it may use
};

/// The threads that these limits leave: as many as are wanted, no more than can run at a time, at least one.
[[nodiscard]] inline int threads_within(const thread_limits& limits) noexcept {
    int threads = limits.openmp > 0 ? limits.openmp : std::max(limits.machine, limits.affinity);
    if (limits.affinity > 0) threads = std::min(threads, limits.affinity);
    if (limits.quota > 0) threads = static_cast<int>(std::min(std::ceil(limits.quota), static_cast<double>(threads)));
    return std::max(threads, 1);
}

/// The threads to use where nobody says how many. Found out once.
[[nodiscard]] inline int available_threads() {
    static const int found = threads_within({.machine = static_cast<int>(std::thread::hardware_concurrency()),
                                             .openmp = first_of_thread_list(std::getenv("OMP_NUM_THREADS")),
                                             .affinity = affinity_cpus(),
                                             .quota = cgroup_cpus()});
    return found;
}

}  // namespace tessera
