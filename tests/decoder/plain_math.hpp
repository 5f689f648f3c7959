// Arithmetic in double for the oracles of the decoder, straight from the definitions.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numbers>
#include <numeric>
#include <vector>

namespace support {

using numbers = std::vector<double>;

inline numbers sum(numbers a, const numbers& b) {
    for (std::size_t i = 0; i < a.size(); ++i) a[i] += b[i];
    return a;
}
inline numbers scaled(numbers x, double factor) {
    for (double& v : x) v *= factor;
    return x;
}
inline numbers part(const numbers& x, std::size_t first, std::size_t count) {
    const auto begin = x.begin() + static_cast<std::ptrdiff_t>(first);
    return {begin, begin + static_cast<std::ptrdiff_t>(count)};
}
inline void append(numbers& to, const numbers& x) { to.insert(to.end(), x.begin(), x.end()); }

/// To a mean square of 1.
inline numbers unit(numbers x, double epsilon) {
    double squares = 0;
    for (const double v : x) squares += v * v;
    return scaled(std::move(x), 1 / std::sqrt(squares / static_cast<double>(x.size()) + epsilon));
}

inline numbers softmax(numbers x) {
    const double largest = *std::max_element(x.begin(), x.end());
    double total = 0;
    for (double& v : x) total += v = std::exp(v - largest);
    return scaled(std::move(x), 1 / total);
}

inline double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }
inline double silu(double x) { return x * sigmoid(x); }
inline double gelu(double x) {
    return 0.5 * x * (1 + std::tanh(std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x)));
}

/// The places of the largest numbers, largest first.
inline std::vector<std::size_t> best(const numbers& x, std::size_t count) {
    std::vector<std::size_t> order(x.size());
    std::iota(order.begin(), order.end(), 0u);
    std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return x[a] > x[b]; });
    order.resize(count);
    return order;
}

}  // namespace support
