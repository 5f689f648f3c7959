// Products of large matrices on several threads, against plain loops.
#include <cstddef>
#include <initializer_list>
#include <random>
#include <vector>

#include <doctest/doctest.h>

#include "tessera/encode/shared_product.hpp"

using namespace tessera;
using detail::product_part;
using detail::vectors;

namespace {

constexpr std::size_t gap = 3;  // between two rows

// Small integers, so that sums are exact.
std::vector<float> integers(std::size_t rows, std::size_t columns, unsigned seed) {
    std::mt19937 random(seed);
    std::uniform_int_distribution<int> any(-4, 4);
    std::vector<float> made(rows * (columns + gap));
    for (float& x : made) x = static_cast<float>(any(random));
    return made;
}

}  // namespace

TEST_CASE("rows and columns are multiplied, whatever the shape and the threads") {
    for (const std::size_t count : std::initializer_list<std::size_t>{1, 130, 300})
        for (const std::size_t others : std::initializer_list<std::size_t>{5, 257})
            for (const std::size_t depth : std::initializer_list<std::size_t>{1, 7, 1030}) {
                CAPTURE(count);
                CAPTURE(others);
                CAPTURE(depth);
                const std::vector<float> x = integers(count, depth, 1), y = integers(depth, others, 2);
                const vectors left{x.data(), depth + gap, count, vectors::kind::rows};
                const vectors right{y.data(), others + gap, others, vectors::kind::columns};
                std::vector<float> out = integers(count, others, 3), wanted = out;
                for (std::size_t r = 0; r < count; ++r)
                    for (std::size_t c = 0; c < others; ++c)
                        for (std::size_t k = 0; k < depth; ++k)
                            wanted[r * (others + gap) + c] -= 2 * x[r * (depth + gap) + k] * y[k * (others + gap) + c];
                for (const int threads : {1, 3}) {
                    std::vector<float> got = out;
                    detail::add_product(left, right, depth, -2.0f, product_part::whole, got.data(), others + gap,
                                        threads);
                    CHECK(got == wanted);
                }
            }
}

TEST_CASE("of the lower half nothing above the diagonal is touched") {
    for (const std::size_t count : std::initializer_list<std::size_t>{1, 126, 255, 600}) {
        CAPTURE(count);
        constexpr std::size_t depth = 9;
        const std::vector<float> x = integers(count, depth, 4);
        const vectors rows{x.data(), depth + gap, count, vectors::kind::rows};
        std::vector<float> got = integers(count, count, 5), wanted = got;
        for (std::size_t r = 0; r < count; ++r)
            for (std::size_t c = 0; c <= r; ++c)
                for (std::size_t k = 0; k < depth; ++k)
                    wanted[r * (count + gap) + c] += x[r * (depth + gap) + k] * x[c * (depth + gap) + k];
        detail::add_product(rows, rows, depth, 1.0f, product_part::lower_half, got.data(), count + gap, 2);
        CHECK(got == wanted);
    }
}
