// Work that was asked to stop does no further step.
#include <atomic>
#include <cstddef>

#include <doctest/doctest.h>

#include "tessera/core/error.hpp"
#include "tessera/core/parallel.hpp"
#include "tessera/core/stop.hpp"

using namespace tessera;

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
