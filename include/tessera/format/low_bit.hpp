// Q1_0, Q2_0, TQ1_0, TQ2_0: one or two bits, or a ternary digit, and one scale. Source: ggml block_q1_0, block_q2_0,
// block_tq1_0, block_tq2_0.
#pragma once

#include "tessera/format/scalar_format.hpp"

namespace tessera {

/// Ternary digits, five to a byte and four to each of the last bytes. Within `Fives` the digits lie in runs: of the
/// first 32 bytes' 160 weights, weight i is digit i / 32 of byte i % 32; then 16 bytes with 80 weights in the same way;
/// then the four bytes of `Fours`. A byte holds 256 / 243 of the base-3 number of its digits, the first digit most
/// significant, so that multiplying by 3^n (modulo 256) brings digit n to the top.
template <auto Fives, auto Fours>
struct ternary_digits {
    template <std::size_t First, class Block>
    [[nodiscard]] static kernels::byte_vector unpack(const Block& in) noexcept {
        if constexpr (First < 160)
            return digit(shifted<First / 32>(kernels::load_bytes((in.*Fives).data() + First % 32)));
        else if constexpr (First < 240)
            return digit(shifted<(First - 160) / 16>(kernels::load_bytes((in.*Fives).data() + 32)));
        else {
            // Four digits of four bytes: a quarter of the register for each digit.
            using four_words [[gnu::vector_size(16)]] = std::uint32_t;
            std::uint32_t word;
            std::memcpy(&word, (in.*Fours).data(), sizeof word);
            const auto bytes = reinterpret_cast<kernels::byte_vector>(four_words{word, word, word, word});
            const auto quarter = [](kernels::byte_vector all, four_words mask) {
                return all & reinterpret_cast<kernels::byte_vector>(mask);
            };
            return digit(quarter(bytes, four_words{~0u, 0, 0, 0}) |
                         quarter(shifted<1>(bytes), four_words{0, ~0u, 0, 0}) |
                         quarter(shifted<2>(bytes), four_words{0, 0, ~0u, 0}) |
                         quarter(shifted<3>(bytes), four_words{0, 0, 0, ~0u}));
        }
    }
    template <class Block>
    static void pack(const std::array<std::uint8_t, 256>& codes, Block& out) noexcept {
        pack_run<32, 5>(codes.data(), (out.*Fives).data());
        pack_run<16, 5>(codes.data() + 160, (out.*Fives).data() + 32);
        pack_run<4, 4>(codes.data() + 240, (out.*Fours).data());
    }

private:
    // Times 3^Digit, modulo 256: that digit comes to the top.
    template <unsigned Digit>
    [[nodiscard]] static kernels::byte_vector shifted(kernels::byte_vector bytes) noexcept {
        for (unsigned n = 0; n < Digit; ++n) bytes = bytes + bytes + bytes;
        return bytes;
    }
    // Three times a byte, in 256ths, is the top digit and what follows it.
    [[nodiscard]] static kernels::byte_vector digit(kernels::byte_vector bytes) noexcept {
        return -reinterpret_cast<kernels::byte_vector>((bytes > 85) + (bytes > 170));  // a true lane is -1
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
    static constexpr engines runs_on{.cpu = {8682, "April 2026"},
                                     .cuda = {8806, "April 2026"},
                                     .metal = {8712, "April 2026"},
                                     .vulkan = {8742, "April 2026"},
                                     .sycl = {9699, "June 2026"}};
    static constexpr stock_facts stock{.file_type = 40, .is_mix = true};

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
    static constexpr type_id type{42};
    static constexpr std::size_t block_size = 64;
    static constexpr engines runs_on{.cpu = {9913, "July 2026"},
                                     .cuda = {10190, "July 2026"},
                                     .metal = {9994, "July 2026"},
                                     .vulkan = {10058, "July 2026"},
                                     .sycl = {10203, "July 2026"}};
    static constexpr stock_facts stock{
        .file_type = 41, .is_mix = true, .substitute = type_id::q4_0, .embedding = type_id::q4_k};

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
    static constexpr engines runs_on{.cpu = {3672, "September 2024"}};
    static constexpr stock_facts stock{
        .file_type = 36, .is_mix = true, .substitute = type_id::q4_0, .embedding = type_id::q4_k};

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
    static constexpr engines runs_on{
        .cpu = {3672, "September 2024"}, .metal = {10414, "August 2026"}, .vulkan = {10384, "August 2026"}};
    static constexpr stock_facts stock{
        .file_type = 37, .is_mix = true, .substitute = type_id::q4_0, .embedding = type_id::q4_k};

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
