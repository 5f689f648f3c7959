// Packs a matrix in 4.5 bits per weight, with and without knowing which columns matter.
#include <cmath>
#include <cstdio>
#include <random>
#include <vector>

#include "tessera/encode.hpp"
#include "tessera/format.hpp"
#include "tessera/measure/weight_error.hpp"
#include "tessera/quantize/pack.hpp"

int main() {
    constexpr std::size_t rows = 64, columns = 1024;
    std::mt19937 random(1);
    std::normal_distribution<float> normal;
    std::vector<float> values(rows * columns), importance(columns);
    for (float& value : values) value = normal(random);
    for (float& i : importance) i = std::exp(2.0f * normal(random));

    const tessera::matrix_view weights(values, columns);
    const auto plain = tessera::quantize<tessera::q4_k>(weights);
    const auto aware = tessera::quantize<tessera::q4_k>(weights, {.importance = importance});

    std::printf("%zu bytes instead of %zu (%.2f bits per weight)\n", aware.bytes(), values.size() * sizeof(float),
                tessera::bits_per_weight<tessera::q4_k>);
    const double before = tessera::measure_error(weights, plain, importance).relative();
    const double after = tessera::measure_error(weights, aware, importance).relative();
    std::printf("error weighted by importance: %.2f %% when columns count alike, %.2f %% when it is known\n",
                100 * before, 100 * after);
    return after < before ? 0 : 1;
}
