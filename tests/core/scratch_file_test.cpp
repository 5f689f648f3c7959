// Where parts of a scratch file lie.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>
#include <random>
#include <vector>

#include <doctest/doctest.h>

#include "support/support.hpp"
#include "tessera/core/scratch_file.hpp"

using namespace tessera;

TEST_CASE("room that was released is used again, in one piece with what lies beside it") {
    const support::scratch_dir folder;
    scratch_file file(folder.path());
    CHECK(file.allocate(4) == 0);
    CHECK(file.allocate(6) == 4);
    CHECK(file.allocate(5) == 10);
    file.release(0, 4);
    file.release(10, 5);
    file.release(4, 6);  // between both
    CHECK(file.allocate(8) == 0);
    CHECK(file.allocate(9) == 8);  // the last room grows
    CHECK(file.size() == 17);
}

TEST_CASE("parts never overlap, and the file is not much larger than they were together") {
    const support::scratch_dir folder;
    scratch_file file(folder.path());
    std::mt19937 random(1);
    std::map<std::uint64_t, std::uint64_t> parts;  // sizes by offset
    std::uint64_t together = 0, most = 0;
    for (int turn = 0; turn < 3000; ++turn) {
        if (parts.empty() || random() % 2 == 0) {
            const std::uint64_t size = random() % 2 == 0 ? 32 : 112, offset = file.allocate(size);
            const auto next = parts.lower_bound(offset);
            CHECK((next == parts.end() || offset + size <= next->first));
            if (next != parts.begin()) CHECK(std::prev(next)->first + std::prev(next)->second <= offset);
            parts.emplace(offset, size);
            together += size;
            most = std::max(most, together);
        } else {
            auto part = parts.begin();
            std::advance(part, static_cast<std::ptrdiff_t>(random() % parts.size()));
            file.release(part->first, part->second);
            together -= part->second;
            parts.erase(part);
        }
    }
    CHECK(file.size() < most * 3 / 2);
}
