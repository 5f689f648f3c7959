// How fast what error feedback learns of an input is computed, and how near it comes to Eigen's own products:
//   moments COLUMNS [TOKENS [THREADS]]
// The Gram matrix and the cross moments of TOKENS (4096) rows, and the solution of the damped Gram matrix for as many
// right sides as it has columns; then Eigen's product of the same matrices, and its solution, on one thread each. All
// in turn, five times; medians of floating-point operations per second of processor time.
#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <map>
#include <string_view>
#include <vector>

#include <Eigen/Cholesky>

#include "median.hpp"
#include "tessera/calibrate/column_statistics.hpp"
#include "tessera/calibrate/compensation.hpp"
#include "tessera/decoder/matrix.hpp"

namespace {

using namespace tessera;

double processor_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

}  // namespace

int main(int argc, char** argv) {
    const auto number = [&](int i, long otherwise) { return i < argc ? std::strtol(argv[i], nullptr, 10) : otherwise; };
    const Eigen::Index columns = number(1, 0), tokens = number(2, 4096);
    const int threads = static_cast<int>(number(3, 1));
    if (columns < 8 || tokens < 1 || threads < 1) {
        std::fputs("usage: moments COLUMNS [TOKENS [THREADS]]\n", stderr);
        return 2;
    }
    const decoder::matrix x = decoder::matrix::Random(tokens, columns), z = decoder::matrix::Random(tokens, columns);
    const decoder::serial_products guard;
    const double square = static_cast<double>(columns) * static_cast<double>(columns);
    const double sums = static_cast<double>(tokens) * square, cubes = square * static_cast<double>(columns);
    std::map<std::string_view, std::vector<double>> speeds;
    const auto time = [&](std::string_view name, double operations, auto&& work) {
        const double start = processor_seconds();
        work();
        speeds[name].push_back(1e-9 * operations / (processor_seconds() - start));
    };
    const float damping = 0.1f * static_cast<float>(tokens);
    double off = 0;
    for (int round = 0; round < 5; ++round) {
        column_statistics statistics;
        decoder::matrix cross, products(columns, columns);
        time("gram matrix", sums, [&] { add_gram(statistics, x, threads); });
        time("cross moments", 2 * sums, [&] { add_cross_moments(cross, z, x, threads); });
        time("product, Eigen", 2 * sums, [&] { products.noalias() = z.transpose() * x; });
        decoder::matrix gram = statistics.gram;
        gram.diagonal().array() += damping;
        decoder::matrix solved = cross, wanted;
        bool is_definite = false;
        time("solution", (2 + 1.0 / 3) * cubes,
             [&] { is_definite = detail::solve_damped(statistics.gram, damping, solved, threads); });
        time("solution, Eigen", (2 + 1.0 / 3) * cubes, [&] { wanted = gram.llt().solve(cross); });
        if (!is_definite) return 1;
        off = std::max({off, static_cast<double>((cross - products).norm() / products.norm()),
                        static_cast<double>((solved - wanted).norm() / wanted.norm())});
    }
    for (const auto& [name, values] : speeds)
        std::printf("%-16.*s %7.1f Gflop/s\n", static_cast<int>(name.size()), name.data(), median(values));
    std::printf("largest relative difference from Eigen's: %.1e\n", off);
    return off < 1e-3 ? 0 : 1;
}
