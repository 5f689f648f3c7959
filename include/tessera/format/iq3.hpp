// IQ3_XXS, IQ3_S: pairs of codewords of four magnitudes, signs, 4-bit sub-scales. Source: ggml block_iq3_xxs,
// block_iq3_s.
#pragma once

#include "tessera/format/lattice_format.hpp"

namespace tessera {

namespace layouts {
struct iq3_xxs {
    static constexpr std::string_view name = "IQ3_XXS";
    static constexpr type_id type = type_id::iq3_xxs;
    static constexpr engines runs_on{.cpu = {2015, "January 2024"},
                                     .cuda = {2015, "January 2024"},
                                     .metal = {2015, "January 2024"},
                                     .vulkan = {4588, "January 2025"},
                                     .sycl = {2620, "April 2024"}};
    static constexpr stock_facts stock{
        .file_type = 23, .is_mix = true, .substitute = type_id::iq4_nl, .needs_importances = true};

    struct block {
        half super_scale;                      // d
        std::array<std::uint8_t, 64> indices;  // qs
        // qs + 64: for 32 weights, from the low bits up, four times seven signs and the sub-scale
        std::array<std::array<std::uint16_t, 2>, 8> signs_and_scales;
    };

    using codebook = lattices::iq3_xxs;
    using scales = lattice_scales<8, 15>;
    static constexpr lattice_signs signs = lattice_signs::even;
    static constexpr float unit = 0.25f;

    [[nodiscard]] static scales load_scales(const block& in) noexcept {
        scales s{in.super_scale, {}, {}};
        for (std::size_t u = 0; u < 8; ++u)
            s.sub_scale[u] = static_cast<std::uint8_t>(word(in.signs_and_scales[u]) >> 28);
        return s;
    }
    static void add_scales(const scales& s, block& out) noexcept {
        out.super_scale = s.super_scale;
        for (std::size_t u = 0; u < 8; ++u)
            add_word(static_cast<std::uint32_t>(s.sub_scale[u]) << 28, out.signs_and_scales[u]);
    }
    [[nodiscard]] static lattice_code<2> load_code(const block& in, std::size_t b, std::size_t p) noexcept {
        return {{in.indices[8 * b + 2 * p], in.indices[8 * b + 2 * p + 1]},
                even_signs(word(in.signs_and_scales[b]) >> (7 * p))};
    }
    static void add_code(const lattice_code<2>& c, std::size_t b, std::size_t p, block& out) noexcept {
        out.indices[8 * b + 2 * p] = static_cast<std::uint8_t>(c.index[0]);
        out.indices[8 * b + 2 * p + 1] = static_cast<std::uint8_t>(c.index[1]);
        add_word((c.signs & 127u) << (7 * p), out.signs_and_scales[b]);
    }
};

struct iq3_s {
    static constexpr std::string_view name = "IQ3_S";
    static constexpr type_id type = type_id::iq3_s;
    static constexpr engines runs_on{.cpu = {2316, "March 2024"},
                                     .cuda = {2316, "March 2024"},
                                     .metal = {2316, "March 2024"},
                                     .vulkan = {4588, "January 2025"},
                                     .sycl = {2620, "April 2024"}};
    static constexpr stock_facts stock{.file_type = 26, .is_mix = true, .substitute = type_id::iq4_nl};

    struct block {
        half super_scale;                          // d
        std::array<std::uint8_t, 64> low_indices;  // qs: the low eight bits of the codewords
        std::array<std::uint8_t, 8> high_indices;  // qh: their ninth bits
        std::array<std::uint8_t, 32> signs;        // signs
        std::array<std::uint8_t, 4> sub_scales;    // scales: nibbles, the low one first
    };

    using codebook = lattices::iq3_s;
    using scales = lattice_scales<8, 15>;
    static constexpr lattice_signs signs = lattice_signs::free;
    static constexpr float unit = 1.0f;

    [[nodiscard]] static scales load_scales(const block& in) noexcept {
        return {in.super_scale, load_nibbles(in.sub_scales), {}};
    }
    static void add_scales(const scales& s, block& out) noexcept {
        out.super_scale = s.super_scale;
        out.sub_scales = store_nibbles(s.sub_scale);
    }
    [[nodiscard]] static lattice_code<2> load_code(const block& in, std::size_t b, std::size_t p) noexcept {
        const unsigned high = in.high_indices[b] >> (2 * p);
        return {{static_cast<std::uint16_t>(in.low_indices[8 * b + 2 * p] | (high & 1) << 8),
                 static_cast<std::uint16_t>(in.low_indices[8 * b + 2 * p + 1] | (high & 2) << 7)},
                in.signs[4 * b + p]};
    }
    static void add_code(const lattice_code<2>& c, std::size_t b, std::size_t p, block& out) noexcept {
        out.low_indices[8 * b + 2 * p] = static_cast<std::uint8_t>(c.index[0]);
        out.low_indices[8 * b + 2 * p + 1] = static_cast<std::uint8_t>(c.index[1]);
        const int high = c.index[0] >> 8 | (c.index[1] >> 8) << 1;
        out.high_indices[b] = static_cast<std::uint8_t>(out.high_indices[b] | high << (2 * p));
        out.signs[4 * b + p] = c.signs;
    }
};
}  // namespace layouts

using iq3_xxs = lattice_format<layouts::iq3_xxs>;
using iq3_s = lattice_format<layouts::iq3_s>;
static_assert(two_stage_format<iq3_xxs> && gguf_format<iq3_xxs>);
static_assert(two_stage_format<iq3_s> && gguf_format<iq3_s>);

}  // namespace tessera
