// Codes of 1, 2, 4 or 8 bits laid out in planes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

namespace tessera::kernels {

/// Sixteen bytes that shift and combine as one: the compilers' own vector type, so that short constant loops over bytes
/// become one instruction on every machine instead of being unrolled byte by byte.
using byte_vector [[gnu::vector_size(16)]] = std::uint8_t;

/// A plane of `Bits`-bit codes. Within a group of Stride * 8 / Bits weights, byte b holds the codes of weights b,
/// b + Stride, b + 2 * Stride, ... from the low bits up.
template <unsigned Bits, std::size_t Stride>
struct bit_plane {
    static_assert(Bits == 1 || Bits == 2 || Bits == 4 || Bits == 8);
    static constexpr std::size_t codes_per_byte = 8 / Bits;
    static constexpr std::size_t group_size = Stride * codes_per_byte;

    /// Writes the codes of N weights (Shift = 0), or adds them as bits from Shift up. N is a multiple of group_size.
    template <std::size_t N, unsigned Shift>
    static void unpack(const std::uint8_t* bytes, std::uint8_t* codes) noexcept {
        static_assert(N % group_size == 0);
        for (std::size_t g = 0; g < N / group_size; ++g)
            for (std::size_t b = 0; b < Stride; b += unit_size) {
                const unit packed = load(bytes + g * Stride + b);
                for (unsigned k = 0; k < codes_per_byte; ++k) {
                    std::uint8_t* to = codes + g * group_size + k * Stride + b;
                    const unit code = static_cast<unit>(static_cast<unit>((packed >> (k * Bits)) & mask) << Shift);
                    store(Shift == 0 ? code : static_cast<unit>(load(to) | code), to);
                }
            }
    }

    /// Writes bits [Shift, Shift + Bits) of the codes of N weights; overwrites `bytes`.
    template <std::size_t N, unsigned Shift>
    static void pack(const std::uint8_t* codes, std::uint8_t* bytes) noexcept {
        static_assert(N % group_size == 0);
        for (std::size_t g = 0; g < N / group_size; ++g)
            for (std::size_t b = 0; b < Stride; b += unit_size) {
                unit packed{};
                for (unsigned k = 0; k < codes_per_byte; ++k) {
                    const unit code = load(codes + g * group_size + k * Stride + b);
                    packed = static_cast<unit>(packed | static_cast<unit>((code >> Shift) & mask) << (k * Bits));
                }
                store(packed, bytes + g * Stride + b);
            }
    }

private:
    using unit = std::conditional_t<Stride % sizeof(byte_vector) == 0, byte_vector, std::uint8_t>;
    static constexpr std::size_t unit_size = sizeof(unit);
    static constexpr std::uint8_t mask = static_cast<std::uint8_t>((1u << Bits) - 1u);

    static unit load(const std::uint8_t* from) noexcept {
        unit value;
        std::memcpy(&value, from, unit_size);
        return value;
    }
    static void store(unit value, std::uint8_t* to) noexcept { std::memcpy(to, &value, unit_size); }
};

}  // namespace tessera::kernels
