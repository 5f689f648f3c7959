// How many threads are used where nobody says, and how loops are shared among them.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "support/support.hpp"
#include "tessera/core/available_threads.hpp"
#include "tessera/core/parallel.hpp"

using namespace tessera;
using support::scratch_dir;

namespace {

// A folder that has what control groups show of themselves.
struct fake_machine {
    scratch_dir folder;

    void write(const std::string& path, const std::string& text) const {
        const support::fs::path file = folder / path;
        support::fs::create_directories(file.parent_path());
        support::write_text(file, text);
    }
    [[nodiscard]] double cpus() const { return cgroup_cpus(folder.path().string()); }
};

}  // namespace

TEST_CASE("a list of threads counts by its first number") {
    CHECK(first_of_thread_list(nullptr) == 0);
    CHECK(first_of_thread_list("") == 0);
    CHECK(first_of_thread_list("4") == 4);
    CHECK(first_of_thread_list(" 3,2,1") == 3);
    CHECK(first_of_thread_list("many") == 0);
    CHECK(first_of_thread_list("-2") == 0);
    CHECK(first_of_thread_list("0") == 0);
    CHECK(first_of_thread_list("99999999999999999999") == 0);
    CHECK(first_of_thread_list("1000000000") == 65536);
}

TEST_CASE("threads: what is wanted, within what can run") {
    CHECK(threads_within({}) == 1);
    CHECK(threads_within({.machine = 8}) == 8);
    CHECK(threads_within({.machine = 8, .openmp = 3}) == 3);
    CHECK(threads_within({.machine = 8, .openmp = 30}) == 30);  // nothing is known that forbids it
    CHECK(threads_within({.machine = 8, .openmp = 30, .affinity = 4}) == 4);
    CHECK(threads_within({.machine = 8, .affinity = 2}) == 2);
    CHECK(threads_within({.machine = 8, .affinity = 8, .quota = 2.5}) == 3);
    CHECK(threads_within({.machine = 8, .affinity = 8, .quota = 0.1}) == 1);
    CHECK(threads_within({.machine = 8, .openmp = 2, .affinity = 8, .quota = 6}) == 2);
    CHECK(threads_within({.machine = 8, .quota = 1e18}) == 8);
}

TEST_CASE("control groups of version 2: the least of the group's own quota and its parents'") {
    const fake_machine machine;
    CHECK(machine.cpus() == 0);  // no such files
    machine.write("proc/self/cgroup", "0::/system/job/step\n");
    CHECK(machine.cpus() == 0);
    machine.write("sys/fs/cgroup/system/job/step/cpu.max", "max 100000\n");
    CHECK(machine.cpus() == 0);
    machine.write("sys/fs/cgroup/system/job/cpu.max", "250000 100000\n");
    CHECK(machine.cpus() == 2.5);
    machine.write("sys/fs/cgroup/system/cpu.max", "400000 100000\n");
    CHECK(machine.cpus() == 2.5);
    machine.write("sys/fs/cgroup/cpu.max", "50000 100000\n");
    CHECK(machine.cpus() == 0.5);
    machine.write("sys/fs/cgroup/cpu.max", "nonsense");
    CHECK(machine.cpus() == 2.5);
    machine.write("proc/self/cgroup", "0::/\n");  // of a container: its root is the process's group
    machine.write("sys/fs/cgroup/cpu.max", "150000 50000\n");
    CHECK(machine.cpus() == 3.0);
    machine.write("proc/self/cgroup", "0::/../other\n");
    CHECK(machine.cpus() == 3.0);
}

TEST_CASE("control groups of version 1: the controller cpu, whatever it is mounted with") {
    for (const std::string mount : {"cpu", "cpu,cpuacct"}) {
        CAPTURE(mount);
        const fake_machine machine;
        machine.write("proc/self/cgroup", "9:memory:/a\n4:cpu,cpuacct:/a/b\n3:cpuset:/c\n0::/a\n");
        machine.write("sys/fs/cgroup/cpuset/c/cpu.cfs_quota_us", "1000\n");
        machine.write("sys/fs/cgroup/cpuset/c/cpu.cfs_period_us", "100000\n");
        machine.write("sys/fs/cgroup/" + mount + "/a/b/cpu.cfs_quota_us", "-1\n");
        machine.write("sys/fs/cgroup/" + mount + "/a/b/cpu.cfs_period_us", "100000\n");
        CHECK(machine.cpus() == 0);
        machine.write("sys/fs/cgroup/" + mount + "/a/cpu.cfs_quota_us", "175000\n");
        machine.write("sys/fs/cgroup/" + mount + "/a/cpu.cfs_period_us", "100000\n");
        CHECK(machine.cpus() == 1.75);
    }
}

TEST_CASE("this process has threads, and a number that is asked for is used") {
    CHECK(available_threads() >= 1);
    CHECK(thread_count(0) == available_threads());
    CHECK(thread_count(7) == 7);
    const int allowed = affinity_cpus();
    CHECK(allowed >= 0);
    if (allowed > 0) CHECK(available_threads() <= allowed);
}

TEST_CASE("a loop gives every item to one thread, of as many as it may have") {
    for (const int threads : {1, 2, 5})
        for (const std::size_t count : {0u, 1u, 2u, 3u, 1000u}) {
            CAPTURE(threads);
            CAPTURE(count);
            std::vector<std::atomic<int>> done(count);
            std::set<std::thread::id> seen;
            std::mutex access;
            parallel_for(count, threads, [&](std::size_t i) {
                ++done[i];
                const std::lock_guard lock(access);
                seen.insert(std::this_thread::get_id());
            });
            CHECK(std::ranges::all_of(done, [](const auto& times) { return times == 1; }));
            CHECK(seen.size() <= static_cast<std::size_t>(threads));
        }
}

TEST_CASE("items of a loop are at work at a time, a loop within one is not shared") {
    constexpr int threads = 3;
    std::atomic<int> there = 0;
    parallel_for(threads, threads, [&](std::size_t) {  // each waits for the others
        ++there;
        while (there < threads) std::this_thread::yield();
        const std::thread::id mine = std::this_thread::get_id();
        parallel_for(10, threads, [&](std::size_t) { CHECK(std::this_thread::get_id() == mine); });
    });
    CHECK(there == threads);
}

TEST_CASE("threads that run loops do not wait for each other") {
    std::atomic<int> there = 0;
    const auto loops = [&] {
        parallel_for(2, 2, [&](std::size_t) {
            ++there;
            while (there < 4) std::this_thread::yield();
        });
    };
    std::thread other(loops);
    loops();
    other.join();
    CHECK(there == 4);
}

TEST_CASE("loops run in a process that was forked, whatever the parent's threads were at") {
    for (int again = 0; again < 20; ++again) {
        parallel_for(2, 2, [](std::size_t) {});
        const ::pid_t child = ::fork();
        if (child == 0) {
            std::atomic<std::size_t> sum = 0;
            parallel_for(100, 2, [&](std::size_t i) { sum += i; });
            ::_exit(sum == 4950 ? 0 : 1);
        }
        int status = 1;
        REQUIRE(::waitpid(child, &status, 0) == child);
        CHECK(status == 0);
    }
}

TEST_CASE("loops can be watched") {
    std::vector<std::size_t> seen, order;
    const auto run = [&](std::size_t count, function_ref<void(std::size_t)> body) {
        seen.push_back(count);
        for (std::size_t i = count; i-- > 0;) body(i);
    };
    const loop_runner runner(run);
    watch_loops(&runner);
    parallel_for(3, 2, [&](std::size_t i) { order.push_back(i); });
    watch_loops(nullptr);
    parallel_for(1, 1, [&](std::size_t i) { order.push_back(i); });
    CHECK(seen == std::vector<std::size_t>{3});
    CHECK(order == std::vector<std::size_t>{2, 1, 0, 0});
}
