// Work becomes progress.
#include <cstdint>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "tessera/core/stage_meter.hpp"

using namespace tessera;

namespace {

struct seen {
    std::uint64_t done;
    std::size_t number;
    std::string name;
    bool operator==(const seen&) const = default;
};

}  // namespace

TEST_CASE("work that is counted becomes units of the stage; parts correct what estimates got wrong") {
    std::vector<seen> all;
    const auto note = [&](const progress& p) {
        CHECK(p.stage == "walk");
        CHECK(p.unit == "steps");
        CHECK(p.total == 10);
        all.push_back({p.done, p.number, std::string(p.name)});
    };
    count_work(1e9);  // nobody asks
    {
        stage_meter meter(note, {.name = "walk", .unit = "steps", .total = 10, .work = 1000});
        meter.begin({"leg", 1, 2, 600});
        count_work(50, "too little to tell");
        count_work(200, "a");
        {
            stage_meter inner({}, {.name = "inner", .unit = "", .total = 1, .work = 1});
            inner.add(1);
            count_work(150, "b");
            inner.finish();
        }
        meter.begin({"leg", 2, 2, 400, "second"});
        count_work(300);
        count_work(300);  // more than was thought: the part is full
        meter.finish();
    }
    count_work(1e9);
    CHECK(all ==
          std::vector<seen>{
              {0, 0, ""}, {0, 1, ""}, {2, 1, "a"}, {4, 1, "b"}, {6, 2, "second"}, {9, 2, "second"}, {10, 2, "second"}});
}

TEST_CASE("a stage of many steps is told in some thousand calls, never falls, and ends at its total") {
    std::uint64_t calls = 0, last = 0;
    const auto note = [&](const progress& p) {
        ++calls;
        CHECK(p.done >= last);
        last = p.done;
    };
    stage_meter meter(note, {.name = "walk", .unit = "steps", .total = 1'000'000'007, .work = 1e6, .before = 5e5});
    CHECK(last == 500'000'003);
    meter.expect(1e6);
    for (int i = 0; i < 1'000'000; ++i) count_work(1);
    CHECK(last > 749'000'000);
    CHECK(last < 751'000'000);
    for (int i = 0; i < 1'000'000; ++i) count_work(1);
    meter.finish();
    CHECK(last == 1'000'000'007);
    CHECK(calls < 3000);
}
