// IQ1_S, IQ1_M: codewords of eight ternary levels, shifted by an eighth, 3-bit sub-scales. Source: ggml block_iq1_s,
// _m.
#pragma once

#include "tessera/format/lattice_format.hpp"

namespace tessera {

namespace layouts {
struct iq1_s {
    static constexpr std::string_view name = "IQ1_S";
    static constexpr type_id type = type_id::iq1_s;
    static constexpr engines runs_on{.cpu = {2404, "March 2024"},
                                     .cuda = {2404, "March 2024"},
                                     .metal = {2404, "March 2024"},
                                     .vulkan = {4720, "February 2025"},
                                     .sycl = {2620, "April 2024"}};
    static constexpr stock_facts stock{
        .file_type = 24, .is_mix = true, .substitute = type_id::iq4_nl, .needs_importances = true};

    struct block {
        half super_scale;                          // d
        std::array<std::uint8_t, 32> low_indices;  // qs: the low eight bits of the codewords
        // qh: for 32 weights, from the low bits up, the upper three bits of four codewords, the sub-scale, the shift
        std::array<std::uint16_t, 8> rest;
    };

    using codebook = lattices::iq1;
    using scales = lattice_scales<8, 7, true>;
    static constexpr lattice_signs signs = lattice_signs::shift_of_sub_block;
    static constexpr float unit = 0.125f;

    [[nodiscard]] static scales load_scales(const block& in) noexcept {
        scales s{in.super_scale, {}, {}};
        for (std::size_t u = 0; u < 8; ++u) {
            s.sub_scale[u] = static_cast<std::uint8_t>((in.rest[u] >> 12) & 7);
            s.negative_shift[u] = static_cast<std::uint8_t>(in.rest[u] >> 15);
        }
        return s;
    }
    static void add_scales(const scales& s, block& out) noexcept {
        out.super_scale = s.super_scale;
        for (std::size_t u = 0; u < 8; ++u)
            out.rest[u] = static_cast<std::uint16_t>(out.rest[u] | s.sub_scale[u] << 12 | s.negative_shift[u] << 15);
    }
    [[nodiscard]] static lattice_code<1> load_code(const block& in, std::size_t b, std::size_t p) noexcept {
        const auto high = (in.rest[b] >> (3 * p)) & 7;
        return {{static_cast<std::uint16_t>(in.low_indices[4 * b + p] | high << 8)}, 0};
    }
    static void add_code(const lattice_code<1>& c, std::size_t b, std::size_t p, block& out) noexcept {
        out.low_indices[4 * b + p] = static_cast<std::uint8_t>(c.index[0]);
        out.rest[b] = static_cast<std::uint16_t>(out.rest[b] | (c.index[0] >> 8) << (3 * p));
    }
};

struct iq1_m {
    static constexpr std::string_view name = "IQ1_M";
    static constexpr type_id type = type_id::iq1_m;
    static constexpr engines runs_on{.cpu = {2539, "March 2024"},
                                     .cuda = {2539, "March 2024"},
                                     .metal = {2539, "March 2024"},
                                     .vulkan = {4720, "February 2025"},
                                     .sycl = {2620, "April 2024"}};
    static constexpr stock_facts stock{
        .file_type = 31, .is_mix = true, .substitute = type_id::iq4_nl, .needs_importances = true};

    struct block {
        std::array<std::uint8_t, 32> low_indices;  // qs: the low eight bits of the codewords
        std::array<std::uint8_t, 16> rest;         // qh: nibbles, the low one first: their upper three bits, the shift
        // scales: from the low bits up, four sub-scales and a nibble of the block's half, whose low nibble comes first
        std::array<std::uint16_t, 4> scales;
    };

    using codebook = lattices::iq1;
    using scales = lattice_scales<16, 7>;
    static constexpr lattice_signs signs = lattice_signs::shift_of_group;
    static constexpr float unit = 0.125f;

    [[nodiscard]] static scales load_scales(const block& in) noexcept {
        scales s{};
        for (std::size_t k = 0; k < 4; ++k)
            s.super_scale.bits = static_cast<std::uint16_t>(s.super_scale.bits | (in.scales[k] >> 12) << (4 * k));
        for (std::size_t u = 0; u < 16; ++u)
            s.sub_scale[u] = static_cast<std::uint8_t>((in.scales[u / 4] >> (3 * (u % 4))) & 7);
        return s;
    }
    static void add_scales(const scales& s, block& out) noexcept {
        for (std::size_t k = 0; k < 4; ++k)
            out.scales[k] = static_cast<std::uint16_t>(((s.super_scale.bits >> (4 * k)) & 15) << 12);
        for (std::size_t u = 0; u < 16; ++u)
            out.scales[u / 4] = static_cast<std::uint16_t>(out.scales[u / 4] | s.sub_scale[u] << (3 * (u % 4)));
    }
    [[nodiscard]] static lattice_code<1> load_code(const block& in, std::size_t b, std::size_t p) noexcept {
        const int nibble = in.rest[2 * b + p / 2] >> (4 * (p % 2));
        return {{static_cast<std::uint16_t>(in.low_indices[4 * b + p] | (nibble & 7) << 8)},
                static_cast<std::uint8_t>((nibble >> 3) & 1)};
    }
    static void add_code(const lattice_code<1>& c, std::size_t b, std::size_t p, block& out) noexcept {
        out.low_indices[4 * b + p] = static_cast<std::uint8_t>(c.index[0]);
        const int nibble = c.index[0] >> 8 | c.signs << 3;
        out.rest[2 * b + p / 2] = static_cast<std::uint8_t>(out.rest[2 * b + p / 2] | nibble << (4 * (p % 2)));
    }
};
}  // namespace layouts

using iq1_s = lattice_format<layouts::iq1_s>;
using iq1_m = lattice_format<layouts::iq1_m>;
static_assert(two_stage_format<iq1_s> && gguf_format<iq1_s>);
static_assert(two_stage_format<iq1_m> && gguf_format<iq1_m>);

}  // namespace tessera
