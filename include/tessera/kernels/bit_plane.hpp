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
/// Eight bytes of the same kind.
using half_byte_vector [[gnu::vector_size(8)]] = std::uint8_t;

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
                const unit packed = load<unit>(bytes + g * Stride + b);
                for (unsigned k = 0; k < codes_per_byte; ++k) {
                    std::uint8_t* to = codes + g * group_size + k * Stride + b;
                    const unit code = static_cast<unit>(static_cast<unit>((packed >> (k * Bits)) & mask) << Shift);
                    store(Shift == 0 ? code : static_cast<unit>(load<unit>(to) | code), to);
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
                    const unit code = load<unit>(codes + g * group_size + k * Stride + b);
                    packed = static_cast<unit>(packed | static_cast<unit>((code >> Shift) & mask) << (k * Bits));
                }
                store(packed, bytes + g * Stride + b);
            }
    }

private:
    using unit = std::conditional_t<Stride % 16 == 0, byte_vector,
                                    std::conditional_t<Stride % 8 == 0, half_byte_vector, std::uint8_t>>;
    static constexpr std::size_t unit_size = sizeof(unit);
    static constexpr std::uint8_t mask = static_cast<std::uint8_t>((1u << Bits) - 1u);

    template <class T>
    static T load(const std::uint8_t* from) noexcept {
        T value;
        std::memcpy(&value, from, sizeof value);
        return value;
    }
    static void store(unit value, std::uint8_t* to) noexcept { std::memcpy(to, &value, unit_size); }
};

/// Consecutive codes in consecutive bits: eight codes are spread over the bytes of one 64-bit word and back.
template <unsigned Bits>
struct bit_plane<Bits, 1> {
    static_assert(Bits == 1 || Bits == 2 || Bits == 4);
    static constexpr std::size_t group_size = 8;

    template <std::size_t N, unsigned Shift>
    static void unpack(const std::uint8_t* bytes, std::uint8_t* codes) noexcept {
        static_assert(N % group_size == 0);
        for (std::size_t i = 0; i < N / 8; ++i) {
            std::uint64_t word = 0;
            std::memcpy(&word, bytes + i * Bits, Bits);
            word = spread(word) << Shift;
            if constexpr (Shift != 0) {
                std::uint64_t lower;
                std::memcpy(&lower, codes + i * 8, 8);
                word |= lower;
            }
            std::memcpy(codes + i * 8, &word, 8);
        }
    }

    template <std::size_t N, unsigned Shift>
    static void pack(const std::uint8_t* codes, std::uint8_t* bytes) noexcept {
        static_assert(N % group_size == 0);
        for (std::size_t i = 0; i < N / 8; ++i) {
            std::uint64_t word;
            std::memcpy(&word, codes + i * 8, 8);
            word = gather(word >> Shift);
            std::memcpy(bytes + i * Bits, &word, Bits);
        }
    }

private:
    static constexpr std::uint64_t every_byte = 0x0101010101010101u;
    static constexpr std::uint64_t mask = ((1u << Bits) - 1u) * every_byte;

    // Halves move apart three times: 4 codes to each 32 bits, 2 to each 16, 1 to each 8.
    static std::uint64_t spread(std::uint64_t word) noexcept {
        word = (word | word << (32 - 4 * Bits)) & (((std::uint64_t{1} << 4 * Bits) - 1) * 0x0000'0001'0000'0001u);
        word = (word | word << (16 - 2 * Bits)) & (((std::uint64_t{1} << 2 * Bits) - 1) * 0x0001'0001'0001'0001u);
        return (word | word << (8 - Bits)) & mask;
    }
    static std::uint64_t gather(std::uint64_t word) noexcept {
        word &= mask;
        word = (word | word >> (8 - Bits)) & (((std::uint64_t{1} << 2 * Bits) - 1) * 0x0001'0001'0001'0001u);
        word = (word | word >> (16 - 2 * Bits)) & (((std::uint64_t{1} << 4 * Bits) - 1) * 0x0000'0001'0000'0001u);
        return (word | word >> (32 - 4 * Bits)) & ((std::uint64_t{1} << (8 * Bits - 1) << 1) - 1);
    }
};

}  // namespace tessera::kernels
