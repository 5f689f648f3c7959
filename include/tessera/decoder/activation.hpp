// Functions of single numbers between the matrix products.
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>

#include "tessera/decoder/model_spec.hpp"
#include "tessera/kernels/exp.hpp"

namespace tessera::decoder {

[[nodiscard]] inline float sigmoid(float x) noexcept { return 1.0f / (1.0f + kernels::exp(-x)); }

/// x = cap tanh(x / cap), with an error of a few units in the last place of `cap`.
inline void soft_cap(std::span<float> values, double cap) noexcept {
    const auto limit = static_cast<float>(cap);
    const auto twice_inverse = static_cast<float>(2.0 / cap);
    for (float& x : values) x = limit - 2.0f * limit * sigmoid(-x * twice_inverse);
}

/// gate[i] = activation(gate[i]) * up[i]. Every activation is x * sigmoid(a(x)): the tanh in GELU's approximation is a
/// sigmoid of twice its argument.
inline void apply_gate(activation kind, float* gate, const float* up, std::size_t count) noexcept {
    const auto combine = [=](auto result) {
        for (std::size_t i = 0; i < count; ++i) gate[i] = result(gate[i], up[i]);
    };
    switch (kind) {
        case activation::silu: return combine([](float g, float u) { return g * sigmoid(g) * u; });
        case activation::gelu:
            return combine([](float g, float u) { return g * sigmoid(1.59576912f * (g + 0.044715f * g * g * g)) * u; });
        case activation::clamped_silu:
            return combine([](float g, float u) {
                g = std::min(g, 7.0f);
                return g * sigmoid(1.702f * g) * (std::clamp(u, -7.0f, 7.0f) + 1.0f);
            });
    }
}

}  // namespace tessera::decoder
