// Codes of 1, 2, 4 or 8 bits laid out in planes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "tessera/kernels/byte_vector.hpp"

namespace tessera::kernels {

/// A plane of `Bits`-bit codes. It repeats after a period of Stride * 8 / Bits weights, within which byte b holds the
/// codes of weights b, b + Stride, b + 2 * Stride, ... from the low bits up.
template <unsigned Bits, std::size_t Stride>
struct bit_plane {
    static_assert(Bits == 1 || Bits == 2 || Bits == 4 || Bits == 8);
    static_assert(Stride % 16 == 0 || Stride == 8 || Stride == 1);
    static constexpr std::size_t period = Stride * (8 / Bits);

    /// The codes of weights First to First + 15, a multiple of 16, as bits from Shift up.
    template <std::size_t First, unsigned Shift = 0>
    [[nodiscard]] static byte_vector unpack(const std::uint8_t* bytes) noexcept {
        if constexpr (Stride % 16 == 0) {
            constexpr auto place = static_cast<int>(First % period / Stride * Bits);
            return move_codes<Shift, place - static_cast<int>(Shift)>(load_bytes(bytes + first_byte<First>));
        } else {
            using word_pair [[gnu::vector_size(16)]] = std::uint64_t;
            return move_codes<Shift, -static_cast<int>(Shift)>(
                reinterpret_cast<byte_vector>(word_pair{unpack_eight<First>(bytes), unpack_eight<First + 8>(bytes)}));
        }
    }

    /// Writes the bytes of N weights, whole periods, from bits [Shift, Shift + Bits) of their codes.
    template <std::size_t N, unsigned Shift>
    static void pack(const std::uint8_t* codes, std::uint8_t* bytes) noexcept {
        static_assert(N % period == 0 || (Stride == 1 && N % 8 == 0));
        if constexpr (Stride == 1) {
            for (std::size_t i = 0; i < N / 8; ++i) {
                const std::uint64_t word = gather(load_word(codes + i * 8) >> Shift);
                std::memcpy(bytes + i * Bits, &word, Bits);
            }
        } else {
            constexpr std::size_t step = Stride % 16 == 0 ? 16 : 8;
            for (std::size_t g = 0; g < N / period; ++g)
                for (std::size_t b = 0; b < Stride; b += step) {
                    byte_vector packed{};
                    for (std::size_t k = 0; k < 8 / Bits; ++k) {
                        byte_vector code{};
                        std::memcpy(&code, codes + g * period + k * Stride + b, step);
                        packed |= static_cast<byte_vector>((code >> static_cast<unsigned char>(Shift)) & mask)
                                  << static_cast<unsigned char>(k * Bits);
                    }
                    std::memcpy(bytes + g * Stride + b, &packed, step);
                }
        }
    }

private:
    static constexpr std::uint8_t mask = static_cast<std::uint8_t>((1u << Bits) - 1u);
    static constexpr std::uint64_t every_byte = 0x0101'0101'0101'0101u;

    // Codes come down by `Down` bits (or up), to bits from Shift up; all others are cleared. There are no shifts of
    // bytes, so 16 bits move together: what crosses from one byte to the other is among the bits that are cleared.
    template <unsigned Shift, int Down>
    [[nodiscard]] static byte_vector move_codes(byte_vector codes) noexcept {
        using two_bytes [[gnu::vector_size(16)]] = std::uint16_t;
        auto pairs = reinterpret_cast<two_bytes>(codes);
        if constexpr (Down > 0) pairs = pairs >> Down;
        if constexpr (Down < 0) pairs = pairs << -Down;
        return reinterpret_cast<byte_vector>(pairs) & static_cast<std::uint8_t>(mask << Shift);
    }

    template <std::size_t First>
    static constexpr std::size_t first_byte = First / period * Stride + First % period % Stride;

    [[nodiscard]] static std::uint64_t load_word(const std::uint8_t* from) noexcept {
        std::uint64_t word;
        std::memcpy(&word, from, sizeof word);
        return word;
    }

    // The codes of eight weights in the bytes of a word.
    template <std::size_t First>
    [[nodiscard]] static std::uint64_t unpack_eight(const std::uint8_t* bytes) noexcept {
        if constexpr (Stride == 8) {
            return load_word(bytes + first_byte<First>) >> (First % period / Stride * Bits) & mask * every_byte;
        } else {
            std::uint64_t word = 0;
            std::memcpy(&word, bytes + First / 8 * Bits, Bits);
            return spread(word);
        }
    }

    // From consecutive bits to the bytes of a word, and back.
    [[nodiscard]] static std::uint64_t spread(std::uint64_t word) noexcept {
        if constexpr (Bits == 8) return word;
        // A copy in every byte, there the bit of its own, and that moved down.
        if constexpr (Bits == 1)
            return ((word * every_byte & 0x8040'2010'0804'0201u) + 0x7f * every_byte) >> 7 & every_byte;
        // Halves move apart: 4 codes to each 32 bits, 2 to each 16, 1 to each 8.
        word = (word | word << (32 - 4 * Bits)) & lowest(4) * 0x0000'0001'0000'0001u;
        word = (word | word << (16 - 2 * Bits)) & lowest(2) * 0x0001'0001'0001'0001u;
        return (word | word << (8 - Bits)) & mask * every_byte;
    }
    [[nodiscard]] static std::uint64_t gather(std::uint64_t word) noexcept {
        if constexpr (Bits == 8) return word;
        word &= mask * every_byte;
        word = (word | word >> (8 - Bits)) & lowest(2) * 0x0001'0001'0001'0001u;
        word = (word | word >> (16 - 2 * Bits)) & lowest(4) * 0x0000'0001'0000'0001u;
        return word | word >> (32 - 4 * Bits);
    }
    static constexpr std::uint64_t lowest(unsigned codes) noexcept { return (std::uint64_t{1} << codes * Bits) - 1; }
};

}  // namespace tessera::kernels
