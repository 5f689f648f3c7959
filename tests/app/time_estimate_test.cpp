// Estimates of time, by a clock that the test turns.
#include <array>
#include <cstdint>
#include <vector>

#include <doctest/doctest.h>

#include "tessera/app/time_estimate.hpp"

using namespace tessera;
using app::planned_stage;
using app::time_estimate;
using app::time_estimator;

namespace {

progress report(std::string_view stage, std::uint64_t done, std::uint64_t total) {
    return {.stage = stage, .unit = "tokens", .done = done, .total = total};
}

}  // namespace

TEST_CASE("the time left is told after some seconds, or some per cent") {
    time_estimator estimate;
    CHECK_FALSE(estimate(10, report("a", 0, 1000)).rate);
    CHECK_FALSE(estimate(11, report("a", 5, 1000)).left);  // a second, half a per cent
    const time_estimate later = estimate(15, report("a", 25, 1000));
    CHECK(later.seconds == 5);
    REQUIRE(later.rate);
    CHECK(*later.rate == doctest::Approx(5).epsilon(0.05));
    CHECK(*later.left == doctest::Approx(195).epsilon(0.05));
    CHECK_FALSE(later.all_left);  // no stages were planned
    CHECK(later.stages == 0);

    time_estimator fast;
    (void)fast(0, report("a", 0, 1000));
    CHECK_FALSE(fast(0.2, report("a", 900, 1000)).left);
    CHECK(fast(0.6, report("a", 950, 1000)).left);
}

TEST_CASE("the time left is steady: steps of unequal length hardly move it, a lasting change does") {
    time_estimator estimate;
    double now = 0;
    std::uint64_t done = 0;
    (void)estimate(now, report("a", 0, 100'000));
    double least = 1e9, most = 0;
    for (int step = 0; step < 300; ++step) {
        now += step % 2 == 0 ? 0.2 : 1.8;  // ten units a second in the mean
        done += 10;
        const time_estimate t = estimate(now, report("a", done, 100'000));
        if (now < 60) continue;
        const double whole = now + t.left.value();
        least = std::min(least, whole);
        most = std::max(most, whole);
    }
    CHECK(least > 9'500);
    CHECK(most < 10'500);
    for (int step = 0; step < 300; ++step) {  // now half as fast
        now += 2;
        done += 10;
        (void)estimate(now, report("a", done, 100'000));
    }
    CHECK(estimate(now, report("a", done, 100'000)).rate.value() == doctest::Approx(5).epsilon(0.15));
}

TEST_CASE("what an earlier run has done does not count as speed") {
    time_estimator estimate;
    (void)estimate(0, report("a", 500, 1000));
    const time_estimate t = estimate(10, report("a", 600, 1000));
    CHECK(t.rate.value() == doctest::Approx(10).epsilon(0.05));
    CHECK(t.left.value() == doctest::Approx(40).epsilon(0.05));
}

TEST_CASE("the time of the whole command follows from the work of its stages") {
    time_estimator estimate;
    const std::array<planned_stage, 3> all{{{"calibrate", 100}, {"measure", 300}, {"quantize", 50}}};
    estimate.plan(all);
    time_estimate t = estimate(0, report("reading", 0, 0));
    CHECK(t.stages == 0);
    (void)estimate(1, report("reading", 7, 7));
    (void)estimate(1, report("calibrate", 0, 1000));
    t = estimate(11, report("calibrate", 500, 1000));
    CHECK(t.stage == 1);
    CHECK(t.stages == 3);
    CHECK(t.left.value() == doctest::Approx(10));
    CHECK(t.all_left.value() == doctest::Approx(10 + 70));  // 100 units of work took 20 seconds
    (void)estimate(21, report("calibrate", 1000, 1000));

    const std::array<planned_stage, 2> rest{{{"measure", 600}, {"quantize", 60}}};  // more is known of them
    estimate.plan(rest);
    (void)estimate(30, report("measure", 0, 60));
    t = estimate(130, report("measure", 30, 60));
    CHECK(t.stage == 2);
    CHECK(t.stages == 3);
    CHECK(t.all_left.value() == doctest::Approx(100 + 20));
    (void)estimate(300, report("measure", 60, 60));
    (void)estimate(300, report("quantize", 0, 10));
    t = estimate(310, report("quantize", 5, 10));
    CHECK(t.stage == 3);
    CHECK(t.all_left.value() == doctest::Approx(t.left.value()));
}

TEST_CASE("stages of one name come one after the other; one that was not needed is passed over") {
    time_estimator estimate;
    const std::array<planned_stage, 5> all{
        {{"reference", 1}, {"candidate", 1}, {"compare", 1}, {"candidate", 1}, {"compare", 1}}};
    estimate.plan(all);
    CHECK(estimate(0, report("candidate", 0, 10)).stage == 2);
    CHECK(estimate(1, report("candidate", 10, 10)).stage == 2);
    CHECK(estimate(1, report("candidate", 0, 10)).stage == 4);
    CHECK(estimate(2, report("compare", 0, 10)).stage == 5);
    CHECK(estimate(3, report("compare", 0, 10)).stages == 5);
    CHECK(estimate(3, report("elsewhere", 0, 10)).stages == 0);
}

TEST_CASE("what an earlier run has left of the stages is not waited for") {
    time_estimator estimate;
    const std::array<planned_stage, 4> all{{{.name = "candidate", .seconds = 0, .done = 1},
                                            {.name = "compare", .seconds = 0, .done = 1},
                                            {.name = "candidate", .seconds = 30, .done = 0.7},
                                            {.name = "compare", .seconds = 15}}};
    estimate.plan(all);
    (void)estimate(0, report("candidate", 700, 1000));
    const time_estimate t = estimate(10, report("candidate", 800, 1000));
    CHECK(t.stage == 3);
    CHECK(t.stages == 4);
    CHECK(t.left.value() == doctest::Approx(20));
    CHECK(t.all_left.value() == doctest::Approx(20 + 15));  // the 300 that were left: 30 seconds, as planned
}
