// Rounding that vectorizes everywhere and gives the same code in scalar and SIMD form.
#pragma once

namespace tessera::kernels {

/// Rounds to the nearest integer, ties to even, for |x| < 2^22: adding 1.5 * 2^23 leaves no room for a fraction.
/// Works for a float and for a register of them. Must not be compiled with -ffast-math.
template <class Float>
[[nodiscard]] inline Float round_to_even(Float x) noexcept {
    const Float magic(12582912.0f);
    return (x + magic) - magic;
}

/// The number in [low, high] nearest to x; NaN gives low.
[[nodiscard]] inline float clamp(float x, float low, float high) noexcept {
    x = x > low ? x : low;
    return x < high ? x : high;
}

/// 1 / x, or 0 when x is 0 or so small that its inverse is infinite.
[[nodiscard]] inline float reciprocal_or_zero(float x) noexcept {
    const float inverse = 1.0f / x;
    return inverse - inverse == 0.0f ? inverse : 0.0f;  // false for infinities and NaN
}

}  // namespace tessera::kernels
