// Q1_0, Q2_0, TQ1_0, TQ2_0: one or two bits, or a ternary digit, and one scale. Source: ggml block_q1_0, block_q2_0,
// block_tq1_0, block_tq2_0.
#pragma once

#include "tessera/format/scalar_format.hpp"

namespace tessera {

/// Ternary digits, five to a byte and four to each of the last bytes. Within `Fives` the digits lie in runs: of the first
/// 32 bytes' 160 weights, weight i is digit i / 32 of byte i % 32; then 16 bytes with 80 weights in the same way; then
/// the four bytes of `Fours`. A byte holds 256 / 243 of the base-3 number of its digits, the first digit most
/// significant, so that multiplying by 3^n (modulo 256) brings digit n to the top.
template <auto Fives, auto Fours>
struct ternary_digits {
    template <class Block>
    static void unpack(const Block& in, std::array<std::uint8_t, 256>& codes) noexcept {
        unpack_run<32, 5>((in.*Fives).data(), codes.data());
        unpack_run<16, 5>((in.*Fives).data() + 32, codes.data() + 160);
        unpack_run<4, 4>((in.*Fours).data(), codes.data() + 240);
    }
    template <class Block>
    static void pack(const std::array<std::uint8_t, 256>& codes, Block& out) noexcept {
        pack_run<32, 5>(codes.data(), (out.*Fives).data());
        pack_run<16, 5>(codes.data() + 160, (out.*Fives).data() + 32);
        pack_run<4, 4>(codes.data() + 240, (out.*Fours).data());
    }

private:
    template <std::size_t Bytes, unsigned Digits>
    static void unpack_run(const std::uint8_t* bytes, std::uint8_t* codes) noexcept {
        constexpr std::size_t unit = std::min<std::size_t>(Bytes, 16);
        for (std::size_t b = 0; b < Bytes; b += unit) {
            kernels::byte_vector rest{};
            std::memcpy(&rest, bytes + b, unit);
            for (unsigned n = 0; n < Digits; ++n) {
                // Three times a byte, in 256ths, is the digit and what follows it.
                const auto digit = -static_cast<kernels::byte_vector>((rest > 85) + (rest > 170));  // a true lane is -1
                std::memcpy(codes + n * Bytes + b, &digit, unit);
                rest = rest + rest + rest;
            }
        }
    }
    template <std::size_t Bytes, unsigned Digits>
    static void pack_run(const std::uint8_t* codes, std::uint8_t* bytes) noexcept {
        for (std::size_t b = 0; b < Bytes; ++b) {
            unsigned number = 0;
            for (unsigned n = 0; n < 5; ++n) number = number * 3 + (n < Digits ? codes[n * Bytes + b] : 0u);
            bytes[b] = static_cast<std::uint8_t>((number * 256 + 242) / 243);
        }
    }
};

namespace layouts {

struct q1_0 {
    static constexpr std::string_view name = "Q1_0";
    static constexpr type_id type = type_id::q1_0;
    static constexpr std::size_t block_size = 128;

    struct block {
        half scale;                          // d
        std::array<std::uint8_t, 16> codes;  // qs
    };

    using planes = tessera::planes<plane<1, 1, &block::codes>>;
    using scaling = scale_per_sub_block<&block::scale>;
    using codebook = linear<-1, 1, 2>;
};

struct q2_0 {
    static constexpr std::string_view name = "Q2_0";
    static constexpr type_id type = type_id::q2_0;
    static constexpr std::size_t block_size = 64;

    struct block {
        half scale;                          // d
        std::array<std::uint8_t, 16> codes;  // qs
    };

    using planes = tessera::planes<plane<2, 1, &block::codes>>;
    using scaling = scale_per_sub_block<&block::scale>;
    using codebook = linear<-1, 2>;
};

struct tq1_0 {
    static constexpr std::string_view name = "TQ1_0";
    static constexpr type_id type = type_id::tq1_0;
    static constexpr std::size_t block_size = 256;

    struct block {
        std::array<std::uint8_t, 48> fives;  // qs
        std::array<std::uint8_t, 4> fours;   // qh
        half scale;                          // d
    };

    using planes = ternary_digits<&block::fives, &block::fours>;
    using scaling = scale_per_sub_block<&block::scale>;
    using codebook = linear<-1, 1>;
};

struct tq2_0 {
    static constexpr std::string_view name = "TQ2_0";
    static constexpr type_id type = type_id::tq2_0;
    static constexpr std::size_t block_size = 256;

    struct block {
        std::array<std::uint8_t, 64> codes;  // qs
        half scale;                          // d
    };

    using planes = tessera::planes<plane<2, 32, &block::codes>>;
    using scaling = scale_per_sub_block<&block::scale>;
    using codebook = linear<-1, 1>;  // code 3 decodes to 2
};

}  // namespace layouts

using q1_0 = scalar_format<layouts::q1_0>;
using q2_0 = scalar_format<layouts::q2_0>;
using tq1_0 = scalar_format<layouts::tq1_0>;
using tq2_0 = scalar_format<layouts::tq2_0>;

}  // namespace tessera
