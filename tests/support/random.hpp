// Random weights for tests.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

namespace support {

/// Weights as models have them: normal, with a standard deviation of 0.02.
inline std::vector<float> gaussian(std::size_t count, std::uint32_t seed) {
    std::mt19937 random(seed);
    std::normal_distribution<float> gauss(0.0f, 0.02f);
    std::vector<float> x(count);
    for (float& value : x) value = gauss(random);
    return x;
}

}  // namespace support
