// The only file that includes xsimd or names a machine's instructions; works from xsimd 8.1 on. Everything is a
// template on the architecture, so that translation units compiled for different machines do not share symbols.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

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

#include "tessera/kernels/byte_vector.hpp"

namespace tessera::kernels {

using default_arch = xsimd::default_arch;

/// A register of floats.
template <class Arch>
using float_batch = xsimd::batch<float, Arch>;

/// Floats in a register.
template <class Arch>
inline constexpr std::size_t lanes = float_batch<Arch>::size;

/// Registers of floats that the machine has.
template <class Arch>
inline constexpr int registers =
    std::is_base_of_v<xsimd::avx512f, Arch> || std::is_base_of_v<xsimd::neon64, Arch> ? 32 : 16;

/// The alignment that aligned loads of a register want.
template <class Arch>
inline constexpr std::size_t simd_alignment = Arch::alignment() == 0 ? alignof(float) : Arch::alignment();

/// Asks for the line of the cache in which `from` lies, without waiting for it. Any address will do.
inline void prefetch(const float* from) noexcept { __builtin_prefetch(from); }

// Xsimd 8.1 converts bytes one by one. Here a function takes the architecture as its last argument, and overload
// resolution picks the nearest of its bases that there is an implementation for.
namespace detail {

/// Every architecture, after all its bases: a conversion ranks below them. (The root of xsimd's own hierarchy is
/// `generic` before version 14, `common` since.)
struct any_arch {
    template <class Arch>
    constexpr any_arch(Arch) noexcept {}
};

template <class Arch>
using float_array = std::array<float, lanes<Arch>>;

template <class Arch, class Byte>
[[nodiscard]] inline float_batch<Arch> widen(const Byte* from, any_arch) noexcept {
    alignas(simd_alignment<Arch>) float_array<Arch> values;
    for (std::size_t i = 0; i < lanes<Arch>; ++i) values[i] = static_cast<float>(from[i]);
    return float_batch<Arch>::load_aligned(values.data());
}

template <class Arch>
[[nodiscard]] inline byte_vector permute(byte_vector table, byte_vector positions, any_arch) noexcept {
    byte_vector found;
    for (int i = 0; i < 16; ++i) found[i] = table[positions[i]];
    return found;
}

template <class Arch>
inline void narrow(float_batch<Arch> values, std::uint8_t* to, any_arch) noexcept {
    alignas(simd_alignment<Arch>) float_array<Arch> each;
    values.store_aligned(each.data());
    for (std::size_t i = 0; i < lanes<Arch>; ++i) to[i] = static_cast<std::uint8_t>(static_cast<int>(each[i]));
}

template <class Arch>
[[nodiscard]] inline float_batch<Arch> look_up(const float* table, const std::uint8_t* positions, any_arch) noexcept {
    alignas(simd_alignment<Arch>) float_array<Arch> found;
    for (std::size_t i = 0; i < lanes<Arch>; ++i) found[i] = table[positions[i]];
    return float_batch<Arch>::load_aligned(found.data());
}

#if XSIMD_WITH_SSE2
// Four bytes, in the low quarter of a register.
[[nodiscard]] inline __m128i load_four(const void* from) noexcept {
    std::int32_t four;
    std::memcpy(&four, from, sizeof four);
    return _mm_cvtsi32_si128(four);
}
template <class Arch>
[[nodiscard]] inline float_batch<Arch> widen(const std::uint8_t* from, xsimd::sse2) noexcept {
    const __m128i zero = _mm_setzero_si128();
    return _mm_cvtepi32_ps(_mm_unpacklo_epi16(_mm_unpacklo_epi8(load_four(from), zero), zero));
}
template <class Arch>
[[nodiscard]] inline float_batch<Arch> widen(const std::int8_t* from, xsimd::sse2) noexcept {
    // Into the upper byte of each 32-bit lane, then down again with the sign.
    const __m128i zero = _mm_setzero_si128();
    const __m128i upper = _mm_unpacklo_epi16(zero, _mm_unpacklo_epi8(zero, load_four(from)));
    return _mm_cvtepi32_ps(_mm_srai_epi32(upper, 24));
}
#endif

#if XSIMD_WITH_SSSE3
// Three families of machines that have the instruction; none derives from another in xsimd.
[[nodiscard]] inline byte_vector shuffle(byte_vector table, byte_vector positions) noexcept {
    return reinterpret_cast<byte_vector>(
        _mm_shuffle_epi8(reinterpret_cast<__m128i>(table), reinterpret_cast<__m128i>(positions)));
}
template <class Arch>
[[nodiscard]] inline byte_vector permute(byte_vector table, byte_vector positions, xsimd::ssse3) noexcept {
    return shuffle(table, positions);
}
template <class Arch>
[[nodiscard]] inline byte_vector permute(byte_vector table, byte_vector positions, xsimd::avx) noexcept {
    return shuffle(table, positions);
}
template <class Arch>
[[nodiscard]] inline byte_vector permute(byte_vector table, byte_vector positions, xsimd::avx512f) noexcept {
    return shuffle(table, positions);
}
#endif

#if XSIMD_WITH_AVX2
[[nodiscard]] inline __m128i load_eight(const void* from) noexcept {
    return _mm_loadl_epi64(static_cast<const __m128i*>(from));
}
template <class Arch>
[[nodiscard]] inline float_batch<Arch> widen(const std::uint8_t* from, xsimd::avx2) noexcept {
    return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(load_eight(from)));
}
template <class Arch>
[[nodiscard]] inline float_batch<Arch> widen(const std::int8_t* from, xsimd::avx2) noexcept {
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(load_eight(from)));
}
template <class Arch>
inline void narrow(float_batch<Arch> values, std::uint8_t* to, xsimd::avx2) noexcept {
    // The low bytes of the four lanes of each half, brought together.
    const __m256i low_bytes = _mm256_broadcastsi128_si256(_mm_setr_epi32(0x0c080400, -1, -1, -1));
    const __m256i packed = _mm256_shuffle_epi8(_mm256_cvttps_epi32(values), low_bytes);
    const __m128i both = _mm_unpacklo_epi32(_mm256_castsi256_si128(packed), _mm256_extracti128_si256(packed, 1));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(to), both);
}
template <class Arch, class Byte, std::size_t Part>
[[nodiscard]] inline float_batch<Arch> widen_part(byte_vector bytes, xsimd::avx2) noexcept {
    const __m128i part = _mm_bsrli_si128(reinterpret_cast<__m128i>(bytes), Part * 8);
    return _mm256_cvtepi32_ps(std::is_signed_v<Byte> ? _mm256_cvtepi8_epi32(part) : _mm256_cvtepu8_epi32(part));
}
template <class Arch>
[[nodiscard]] inline float_batch<Arch> look_up(const float* table, const std::uint8_t* positions,
                                               xsimd::avx2) noexcept {
    return _mm256_i32gather_ps(table, _mm256_cvtepu8_epi32(load_eight(positions)), 4);
}
#endif

#if XSIMD_WITH_AVX512F
[[nodiscard]] inline __m128i load_sixteen(const void* from) noexcept {
    return _mm_loadu_si128(static_cast<const __m128i*>(from));
}
template <class Arch>
[[nodiscard]] inline float_batch<Arch> widen(const std::uint8_t* from, xsimd::avx512f) noexcept {
    return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(load_sixteen(from)));
}
template <class Arch>
[[nodiscard]] inline float_batch<Arch> widen(const std::int8_t* from, xsimd::avx512f) noexcept {
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(load_sixteen(from)));
}
template <class Arch>
inline void narrow(float_batch<Arch> values, std::uint8_t* to, xsimd::avx512f) noexcept {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm512_cvtepi32_epi8(_mm512_cvttps_epi32(values)));
}
template <class Arch, class Byte, std::size_t Part>
[[nodiscard]] inline float_batch<Arch> widen_part(byte_vector bytes, xsimd::avx512f) noexcept {
    const auto all = reinterpret_cast<__m128i>(bytes);
    return _mm512_cvtepi32_ps(std::is_signed_v<Byte> ? _mm512_cvtepi8_epi32(all) : _mm512_cvtepu8_epi32(all));
}
template <class Arch>
[[nodiscard]] inline float_batch<Arch> look_up(const float* table, const std::uint8_t* positions,
                                               xsimd::avx512f) noexcept {
    return _mm512_i32gather_ps(_mm512_cvtepu8_epi32(load_sixteen(positions)), table, 4);
}
#endif

#if XSIMD_WITH_NEON64
[[nodiscard]] inline uint8x8_t load_four(const void* from) noexcept {
    std::uint32_t four;
    std::memcpy(&four, from, sizeof four);
    return vcreate_u8(four);
}
template <class Arch>
[[nodiscard]] inline float_batch<Arch> widen(const std::uint8_t* from, xsimd::neon64) noexcept {
    return vcvtq_f32_u32(vmovl_u16(vget_low_u16(vmovl_u8(load_four(from)))));
}
template <class Arch>
[[nodiscard]] inline float_batch<Arch> widen(const std::int8_t* from, xsimd::neon64) noexcept {
    return vcvtq_f32_s32(vmovl_s16(vget_low_s16(vmovl_s8(vreinterpret_s8_u8(load_four(from))))));
}
template <class Arch>
[[nodiscard]] inline byte_vector permute(byte_vector table, byte_vector positions, xsimd::neon64) noexcept {
    return reinterpret_cast<byte_vector>(
        vqtbl1q_u8(reinterpret_cast<uint8x16_t>(table), reinterpret_cast<uint8x16_t>(positions)));
}
#endif

template <class Arch, class Byte, std::size_t Part>
[[nodiscard]] inline float_batch<Arch> widen_part(byte_vector bytes, any_arch) noexcept {
    std::array<Byte, 16> each;
    store_bytes(bytes, each.data());
    return widen<Arch>(each.data() + Part * lanes<Arch>, Arch{});
}

}  // namespace detail

/// lanes<Arch> consecutive bytes, signed or unsigned, as floats.
template <class Arch, class Byte>
[[nodiscard]] inline float_batch<Arch> widen(const Byte* from) noexcept {
    return detail::widen<Arch>(from, Arch{});
}

/// The same for the Part-th lanes<Arch> bytes of sixteen.
template <class Arch, class Byte, std::size_t Part>
[[nodiscard]] inline float_batch<Arch> widen_part(byte_vector bytes) noexcept {
    static_assert((Part + 1) * lanes<Arch> <= 16);
    return detail::widen_part<Arch, Byte, Part>(bytes, Arch{});
}

/// Stores the integers in a register of floats, each from -128 to 255, as lanes<Arch> bytes.
template <class Arch>
inline void narrow(float_batch<Arch> values, std::uint8_t* to) noexcept {
    detail::narrow<Arch>(values, to, Arch{});
}

/// The bytes of a table at sixteen positions, each below 16.
template <class Arch>
[[nodiscard]] inline byte_vector permute(byte_vector table, byte_vector positions) noexcept {
    return detail::permute<Arch>(table, positions, Arch{});
}

/// The entries of a table at lanes<Arch> consecutive positions, none of them beyond its end.
template <class Arch>
[[nodiscard]] inline float_batch<Arch> look_up(const float* table, const std::uint8_t* positions) noexcept {
    return detail::look_up<Arch>(table, positions, Arch{});
}

}  // namespace tessera::kernels
