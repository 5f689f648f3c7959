// The only file that includes xsimd; works from xsimd 8.1 on. Everything is a template on the architecture, so that
// translation units compiled for different machines do not share symbols.
#pragma once

#include <cstddef>

// g++ 12 takes the deliberately undefined registers of its own AVX-512 header for mistakes (GCC bug 105593).
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <xsimd/xsimd.hpp>
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

namespace tessera::kernels {

using default_arch = xsimd::default_arch;

/// A register of floats.
template <class Arch>
using float_batch = xsimd::batch<float, Arch>;

/// Floats in a register.
template <class Arch>
inline constexpr std::size_t lanes = float_batch<Arch>::size;

/// The alignment that aligned loads of a register want.
template <class Arch>
inline constexpr std::size_t simd_alignment = Arch::alignment() == 0 ? alignof(float) : Arch::alignment();

}  // namespace tessera::kernels
