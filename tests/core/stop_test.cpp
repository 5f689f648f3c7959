// Work that was asked to stop does no further step.
#include <atomic>
#include <cstddef>

#include <doctest/doctest.h>

#include "support/support.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/function_ref.hpp"
#include "tessera/core/output_file.hpp"
#include "tessera/core/panels.hpp"
#include "tessera/core/parallel.hpp"
#include "tessera/core/stop.hpp"

using namespace tessera;

TEST_CASE("stop: panels of long work, and loops that are watched, begin no further step") {
    std::ptrdiff_t covered = 0;
    std::size_t panels = 0;
    const auto add = [&](std::ptrdiff_t first, std::ptrdiff_t count) {
        CHECK(first == covered);
        covered += count;
        ++panels;
    };
    for_each_panel(10000, add);
    CHECK(covered == 10000);
    REQUIRE(panels > 2);
    covered = 0;
    panels = 0;
    const auto add_and_stop = [&](std::ptrdiff_t first, std::ptrdiff_t count) {
        add(first, count);
        if (panels == 2) request_stop();
    };
    CHECK_THROWS_AS(for_each_panel(10000, add_and_stop), stopped);
    CHECK(panels == 2);
    withdraw_stop();

    std::size_t begun = 0;
    const auto in_order = [](std::size_t count, function_ref<void(std::size_t)> body) {
        for (std::size_t i = 0; i < count; ++i) body(i);
    };
    const loop_runner runner(in_order);
    watch_loops(&runner);
    CHECK_THROWS_AS(parallel_for(100, 2,
                                 [&](std::size_t) {
                                     if (++begun == 5) request_stop();
                                 }),
                    stopped);
    watch_loops(nullptr);
    CHECK(begun == 5);
    withdraw_stop();
}

TEST_CASE("stop: a file is not waited for any longer") {
    const support::scratch_dir dir;
    const output_file file(dir / "x", 100);
    request_stop();
    CHECK_THROWS_AS(file.sync(), stopped);
    withdraw_stop();
    CHECK_NOTHROW(file.sync());
}

TEST_CASE("stop: a loop that is asked to stop begins no further step, and throws what is no error of data") {
    for (const int threads : {1, 2})
        for (const std::size_t at : {0u, 7u, 99u}) {
            CAPTURE(threads);
            CAPTURE(at);
            std::atomic<std::size_t> begun = 0;
            const auto loop = [&] {
                parallel_for(100, threads, [&](std::size_t) {
                    if (begun.fetch_add(1) == at) request_stop();
                });
            };
            bool is_stopped = false;
            try {
                loop();
            } catch (const error&) {
                FAIL("a stop is no error");
            } catch (const stopped&) {
                is_stopped = true;
            }
            // One step of another thread may have looked before; after the last there is nothing to stop.
            CHECK(is_stopped == (at < 99));
            CHECK(begun >= at + 1);
            CHECK(begun <= at + static_cast<std::size_t>(threads));
            const std::size_t before = begun;
            CHECK_THROWS_AS(loop(), stopped);
            CHECK_THROWS_AS(stop_if_requested(), stopped);
            CHECK(begun == before);
            withdraw_stop();
            loop();
            CHECK(begun == before + 100);
        }
}
