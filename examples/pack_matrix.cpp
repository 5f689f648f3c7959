// Packs a matrix in 4.5 bits per weight, with and without knowing which columns matter.
#include <cmath>
#include <cstdio>
#include <random>
#include <vector>

#include "tessera/encode.hpp"
#include "tessera/format.hpp"
#include "tessera/pipeline/quantize.hpp"

namespace {

// The squared error of each column, weighed by its importance.
template <tessera::block_format F>
double weighed_error(tessera::matrix_view original, const tessera::packed_matrix<F>& packed, std::span<const float> importance) {
    std::vector<float> row(original.columns());
    double sum = 0;
    for (std::size_t r = 0; r < original.rows(); ++r) {
        packed.decode_row(r, row);
        for (std::size_t c = 0; c < row.size(); ++c) {
            const double error = row[c] - original.row(r)[c];
            sum += importance[c] * error * error;
        }
    }
    return sum;
}

}  // namespace

int main() {
    constexpr std::size_t rows = 64, columns = 1024;
    std::mt19937 random(1);
    std::normal_distribution<float> normal;
    std::vector<float> values(rows * columns), importance(columns);
    for (float& value : values) value = normal(random);
    for (float& i : importance) i = std::exp(2.0f * normal(random));

    const tessera::matrix_view weights(values, columns);
    const auto plain = tessera::quantize<tessera::q4_k>(weights);
    const auto aware = tessera::quantize<tessera::q4_k>(weights, importance);

    std::printf("%zu bytes instead of %zu (%.2f bits per weight)\n", aware.bytes(), values.size() * sizeof(float),
                tessera::bits_per_weight<tessera::q4_k>);
    const double before = weighed_error(weights, plain, importance), after = weighed_error(weights, aware, importance);
    std::printf("weighed error: %.0f when columns count alike, %.0f with their importance\n", before, after);
    return after < before ? 0 : 1;
}
