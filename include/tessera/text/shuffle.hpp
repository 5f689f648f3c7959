// An order that a seed decides, the same with every standard library.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <utility>
#include <vector>

namespace tessera::text {

/// Puts items in an order that depends on the seed and their number only.
template <class T>
void shuffle(std::vector<T>& items, std::uint64_t seed) {
    std::mt19937_64 random(seed);  // its numbers are fixed by the standard; std::shuffle's use of them is not
    for (std::size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[random() % i]);
}

}  // namespace tessera::text
