// What a command of the program would gain from more threads:
//   thread_scaling COMMAND ARGUMENTS...
// Runs `tessera COMMAND ARGUMENTS...` on one thread and measures every item of its parallel loops, and the time between
// loops. Then it hands the same items to 1 to 64 workers as parallel_for does, each to the next that is
// free, and prints the predicted speedup, and what keeps it from being larger: the serial time, and the loops that have
// too few items or uneven ones. Memory bandwidth and what threads cost are left out.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <functional>
#include <map>
#include <queue>
#include <string>
#include <vector>

#include "cli/run.hpp"
#include "tessera/core/parallel.hpp"
#include "tessera/format/builtin.hpp"

namespace {

using clock_type = std::chrono::steady_clock;

double seconds_since(clock_type::time_point start) {
    return std::chrono::duration<double>(clock_type::now() - start).count();
}

// The time that `workers` take for items that are handed out in order.
double makespan(const std::vector<float>& items, std::size_t workers) {
    if (items.size() <= workers) return items.empty() ? 0.0 : double{*std::max_element(items.begin(), items.end())};
    std::priority_queue<double, std::vector<double>, std::greater<>> free;  // when each is
    for (std::size_t w = 0; w < workers; ++w) free.push(0.0);
    double end = 0;
    for (const float item : items) {
        const double done = free.top() + double{item};
        free.pop();
        free.push(done);
        end = std::max(end, done);
    }
    return end;
}

/// Runs loops one item after the other, and keeps what a simulation needs of each.
class recorder {
public:
    static constexpr std::array<std::size_t, 5> workers{1, 2, 4, 16, 64};

    void operator()(std::size_t count, tessera::function_ref<void(std::size_t)> body) {
        if (is_within_) {  // loops of items stay on their thread
            for (std::size_t i = 0; i < count; ++i) body(i);
            return;
        }
        is_within_ = true;
        items_.resize(count);
        for (std::size_t i = 0; i < count; ++i) {
            const auto start = clock_type::now();
            body(i);
            items_[i] = static_cast<float>(seconds_since(start));
        }
        is_within_ = false;
        kind& of_size = kinds_[bucket(count)];
        ++of_size.loops;
        for (std::size_t w = 0; w < workers.size(); ++w) {
            const double time = makespan(items_, workers[w]);
            parallel_[w] += time;
            of_size.seconds[w] += time;
        }
    }

    void print(double seconds) const {
        const double serial = std::max(seconds - parallel_[0], 0.0);
        std::printf("\n%.2f s on one thread, %.2f s of it (%.1f %%) between loops\n", seconds, serial,
                    100 * serial / seconds);
        for (std::size_t w = 1; w < workers.size(); ++w)
            std::printf("%3zu threads: %5.2f times as fast\n", workers[w], seconds / (serial + parallel_[w]));
        std::printf("\nitems of a loop    loops   seconds on 1   on 64   if shared evenly\n");
        for (const auto& [size, k] : kinds_)
            std::printf("%7zu to %7zu %8zu %12.3f %9.3f %12.3f\n", size, 2 * size - 1, k.loops, k.seconds[0],
                        k.seconds.back(), k.seconds[0] / static_cast<double>(workers.back()));
        std::printf("between loops    %16.3f %9.3f\n", serial, serial);
    }

private:
    struct kind {
        std::size_t loops = 0;
        std::array<double, workers.size()> seconds{};
    };

    static std::size_t bucket(std::size_t count) {
        std::size_t size = 1;
        while (2 * size <= count) size *= 2;
        return size;
    }

    bool is_within_ = false;
    std::vector<float> items_;
    std::array<double, workers.size()> parallel_{};
    std::map<std::size_t, kind> kinds_;  // by the number of items, in powers of two
};

}  // namespace

int main(int argc, char** argv) {
    if (argc < 2) {
        std::fputs("usage: thread_scaling COMMAND ARGUMENTS...\n", stderr);
        return 2;
    }
    // Work is cut into parts for as many threads as are simulated, and run on this one.
    std::vector<std::string> text(argv, argv + argc);
    text.insert(text.end(), {"--threads", std::to_string(recorder::workers.back())});
    std::vector<char*> arguments;
    for (std::string& argument : text) arguments.push_back(argument.data());
    recorder loops;
    const tessera::loop_runner runner(loops);
    tessera::watch_loops(&runner);
    const auto start = clock_type::now();
    const int status = cli::run<tessera::builtin_formats>(static_cast<int>(arguments.size()), arguments.data());
    const double seconds = seconds_since(start);
    tessera::watch_loops(nullptr);
    if (status == 0) loops.print(seconds);
    return status;
}
