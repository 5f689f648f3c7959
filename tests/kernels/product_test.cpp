// The product of packed matrices against a plain loop, for every register width that the compiler may use.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <initializer_list>
#include <random>
#include <vector>

#include <doctest/doctest.h>

#include "kernels/for_each_arch.hpp"
#include "tessera/kernels/product.hpp"
#include "tessera/kernels/simd.hpp"

using namespace tessera;

namespace {

// A matrix whose rows have something else between them.
struct padded {
    padded(std::size_t rows, std::size_t columns) : columns(columns), values(rows * (columns + gap), filler) {}

    float& at(std::size_t r, std::size_t c) { return values[r * stride() + c]; }
    [[nodiscard]] float at(std::size_t r, std::size_t c) const { return values[r * stride() + c]; }
    [[nodiscard]] std::size_t rows() const { return values.size() / stride(); }
    [[nodiscard]] std::size_t stride() const { return columns + gap; }

    static constexpr std::size_t gap = 3;
    static constexpr float filler = 1e30f;
    std::size_t columns;
    std::vector<float> values;
};

template <class Distribution>
padded random_matrix(std::size_t rows, std::size_t columns, Distribution distribution) {
    static std::mt19937 random(1);
    padded made(rows, columns);
    for (std::size_t r = 0; r < rows; ++r)
        for (std::size_t c = 0; c < columns; ++c) made.at(r, c) = static_cast<float>(distribution(random));
    return made;
}

template <class Arch>
void add_product(const padded& x, const padded& w, padded& out) {
    kernels::packed_left<Arch> left(x.rows(), x.columns);
    left.pack(0, x.values.data(), x.stride(), x.rows());
    kernels::packed_right<Arch> right(w.rows(), w.columns);
    right.pack(0, w.values.data(), w.stride(), w.rows());
    kernels::add_product<Arch>(left, 0, x.rows(), right, 0, w.rows(), out.values.data(), out.stride());
}

// The same of matrices whose rows lie in columns.
template <class Arch>
void add_product_of_columns(const padded& x, const padded& w, padded& out, float factor) {
    const auto turned = [](const padded& m) {
        padded columns(m.columns, m.rows());
        for (std::size_t r = 0; r < m.rows(); ++r)
            for (std::size_t c = 0; c < m.columns; ++c) columns.at(c, r) = m.at(r, c);
        return columns;
    };
    const padded x_columns = turned(x), w_columns = turned(w);
    kernels::packed_left<Arch> left(x.rows(), x.columns);
    left.pack_columns(0, x_columns.values.data(), x_columns.stride(), x.rows());
    left.scale(0, x.rows(), factor);
    kernels::packed_right<Arch> right(w.rows(), w.columns);
    right.pack_columns(0, w_columns.values.data(), w_columns.stride(), w.rows());
    kernels::add_product<Arch>(left, 0, x.rows(), right, 0, w.rows(), out.values.data(), out.stride());
}

double dot(const padded& x, std::size_t r, const padded& w, std::size_t c) {
    double sum = 0;
    for (std::size_t k = 0; k < x.columns; ++k) sum += double{x.at(r, k)} * double{w.at(c, k)};
    return sum;
}

}  // namespace

TEST_CASE("products of small integers are exact, whatever the shape, and nothing else is touched") {
    support::for_each_arch([]<class Arch>(Arch) {
        constexpr std::size_t height = kernels::packed_left<Arch>::width, width = kernels::packed_right<Arch>::width;
        std::uniform_int_distribution<int> integers(-9, 9);
        for (const std::size_t rows : {std::size_t{1}, height - 1, height, height + 1, 2 * height + 3})
            for (const std::size_t columns : {std::size_t{1}, width - 1, width, width + 1, 2 * width + 5})
                for (const std::size_t depth : std::initializer_list<std::size_t>{1, 17, 255, 257, 600}) {
                    CAPTURE(rows);
                    CAPTURE(columns);
                    CAPTURE(depth);
                    const padded x = random_matrix(rows, depth, integers), w = random_matrix(columns, depth, integers);
                    padded out = random_matrix(rows, columns, integers);
                    padded wanted = out;
                    for (std::size_t r = 0; r < rows; ++r)
                        for (std::size_t c = 0; c < columns; ++c)
                            wanted.at(r, c) += static_cast<float>(dot(x, r, w, c));
                    add_product<Arch>(x, w, out);
                    CHECK(out.values == wanted.values);
                    add_product_of_columns<Arch>(x, w, out, 1.0f);
                    add_product_of_columns<Arch>(x, w, out, -1.0f);
                    CHECK(out.values == wanted.values);
                }
    });
}

TEST_CASE("products of real numbers are as near as float sums get") {
    support::for_each_arch([]<class Arch>(Arch) {
        std::normal_distribution<float> gauss;
        const padded x = random_matrix(20, 1000, gauss), w = random_matrix(40, 1000, gauss);
        padded out = random_matrix(20, 40, [](auto&) { return 0; });
        add_product<Arch>(x, w, out);
        double worst = 0;
        for (std::size_t r = 0; r < 20; ++r)
            for (std::size_t c = 0; c < 40; ++c) worst = std::max(worst, std::abs(out.at(r, c) - dot(x, r, w, c)));
        CHECK(worst < 2e-4);
        CHECK(worst > 1e-7);
    });
}

TEST_CASE("a row's bits do not depend on the rows that are multiplied with it") {
    support::for_each_arch([]<class Arch>(Arch) {
        std::normal_distribution<float> gauss;
        const padded x = random_matrix(31, 300, gauss), w = random_matrix(70, 300, gauss);
        const padded zeros = random_matrix(31, 70, [](auto&) { return 0; });
        padded together = zeros;
        add_product<Arch>(x, w, together);
        for (std::size_t r = 0; r < x.rows(); ++r) {
            padded row(1, 300), alone(1, 70);
            for (std::size_t k = 0; k < 300; ++k) row.at(0, k) = x.at(r, k);
            for (std::size_t c = 0; c < 70; ++c) alone.at(0, c) = 0;
            add_product<Arch>(row, w, alone);
            std::size_t different = 0;
            for (std::size_t c = 0; c < 70; ++c) different += alone.at(0, c) == together.at(r, c) ? 0 : 1;
            CHECK(different == 0);
        }
    });
}
