// IQ2_XXS, IQ2_XS, IQ2_S: codewords of eight magnitudes, signs, 4-bit sub-scales. Source: ggml block_iq2_xxs, _xs, _s.
#pragma once

#include "tessera/format/lattice_format.hpp"

namespace tessera {

namespace layouts {
struct iq2_xxs {
    static constexpr std::string_view name = "IQ2_XXS";
    static constexpr type_id type = type_id::iq2_xxs;
    static constexpr engines runs_on{.cpu = {1792, "January 2024"},
                                     .cuda = {1792, "January 2024"},
                                     .metal = {1792, "January 2024"},
                                     .vulkan = {4588, "January 2025"},
                                     .sycl = {2620, "April 2024"}};
    static constexpr stock_facts stock{
        .file_type = 19, .is_mix = true, .substitute = type_id::iq4_nl, .needs_importances = true};

    // 32 weights: four codewords, then from the low bits up four times seven signs and the sub-scale.
    struct part {
        std::array<std::uint8_t, 4> indices;
        std::array<std::uint16_t, 2> signs_and_scale;
    };
    struct block {
        half super_scale;           // d
        std::array<part, 8> parts;  // qs
    };

    using codebook = lattices::iq2_xxs;
    using scales = lattice_scales<8, 15>;
    static constexpr lattice_signs signs = lattice_signs::even;
    static constexpr float unit = 0.125f;

    [[nodiscard]] static scales load_scales(const block& in) noexcept {
        scales s{in.super_scale, {}, {}};
        for (std::size_t u = 0; u < 8; ++u)
            s.sub_scale[u] = static_cast<std::uint8_t>(word(in.parts[u].signs_and_scale) >> 28);
        return s;
    }
    static void add_scales(const scales& s, block& out) noexcept {
        out.super_scale = s.super_scale;
        for (std::size_t u = 0; u < 8; ++u)
            add_word(static_cast<std::uint32_t>(s.sub_scale[u]) << 28, out.parts[u].signs_and_scale);
    }
    [[nodiscard]] static lattice_code<1> load_code(const block& in, std::size_t b, std::size_t p) noexcept {
        const part& from = in.parts[b];
        return {{from.indices[p]}, even_signs(word(from.signs_and_scale) >> (7 * p))};
    }
    static void add_code(const lattice_code<1>& c, std::size_t b, std::size_t p, block& out) noexcept {
        part& to = out.parts[b];
        to.indices[p] = static_cast<std::uint8_t>(c.index[0]);
        add_word((c.signs & 127u) << (7 * p), to.signs_and_scale);
    }
};

struct iq2_xs {
    static constexpr std::string_view name = "IQ2_XS";
    static constexpr type_id type = type_id::iq2_xs;
    static constexpr engines runs_on{.cpu = {1827, "January 2024"},
                                     .cuda = {1827, "January 2024"},
                                     .metal = {1827, "January 2024"},
                                     .vulkan = {4588, "January 2025"},
                                     .sycl = {2620, "April 2024"}};
    static constexpr stock_facts stock{
        .file_type = 20, .is_mix = true, .substitute = type_id::iq4_nl, .needs_importances = true};

    struct block {
        half super_scale;                        // d
        std::array<std::uint16_t, 32> codes;     // qs: a codeword in nine bits, above them seven signs
        std::array<std::uint8_t, 8> sub_scales;  // scales: nibbles, the low one first
    };

    using codebook = lattices::iq2_xs;
    using scales = lattice_scales<16, 15>;
    static constexpr lattice_signs signs = lattice_signs::even;
    static constexpr float unit = 0.125f;

    [[nodiscard]] static scales load_scales(const block& in) noexcept {
        return {in.super_scale, load_nibbles(in.sub_scales), {}};
    }
    static void add_scales(const scales& s, block& out) noexcept {
        out.super_scale = s.super_scale;
        out.sub_scales = store_nibbles(s.sub_scale);
    }
    [[nodiscard]] static lattice_code<1> load_code(const block& in, std::size_t b, std::size_t p) noexcept {
        return {{static_cast<std::uint16_t>(in.codes[4 * b + p] & 511)}, even_signs(in.codes[4 * b + p] >> 9)};
    }
    static void add_code(const lattice_code<1>& c, std::size_t b, std::size_t p, block& out) noexcept {
        out.codes[4 * b + p] = static_cast<std::uint16_t>(c.index[0] | (c.signs & 127) << 9);
    }
};

struct iq2_s {
    static constexpr std::string_view name = "IQ2_S";
    static constexpr type_id type = type_id::iq2_s;
    static constexpr engines runs_on{.cpu = {2275, "February 2024"},
                                     .cuda = {2275, "February 2024"},
                                     .metal = {2275, "February 2024"},
                                     .vulkan = {4588, "January 2025"},
                                     .sycl = {2620, "April 2024"}};
    static constexpr stock_facts stock{.file_type = 29, .substitute = type_id::iq4_nl, .needs_importances = true};

    struct block {
        half super_scale;                          // d
        std::array<std::uint8_t, 32> low_indices;  // qs: the low eight bits of the codewords
        std::array<std::uint8_t, 32> signs;        // qs + 32
        std::array<std::uint8_t, 8> high_indices;  // qh: their upper two bits, four groups a byte
        std::array<std::uint8_t, 8> sub_scales;    // scales: nibbles, the low one first
    };

    using codebook = lattices::iq2_s;
    using scales = lattice_scales<16, 15>;
    static constexpr lattice_signs signs = lattice_signs::free;
    static constexpr float unit = 0.125f;

    [[nodiscard]] static scales load_scales(const block& in) noexcept {
        return {in.super_scale, load_nibbles(in.sub_scales), {}};
    }
    static void add_scales(const scales& s, block& out) noexcept {
        out.super_scale = s.super_scale;
        out.sub_scales = store_nibbles(s.sub_scale);
    }
    [[nodiscard]] static lattice_code<1> load_code(const block& in, std::size_t b, std::size_t p) noexcept {
        const auto high = (in.high_indices[b] >> (2 * p)) & 3;
        return {{static_cast<std::uint16_t>(in.low_indices[4 * b + p] | high << 8)}, in.signs[4 * b + p]};
    }
    static void add_code(const lattice_code<1>& c, std::size_t b, std::size_t p, block& out) noexcept {
        out.low_indices[4 * b + p] = static_cast<std::uint8_t>(c.index[0]);
        out.high_indices[b] = static_cast<std::uint8_t>(out.high_indices[b] | (c.index[0] >> 8) << (2 * p));
        out.signs[4 * b + p] = c.signs;
    }
};
}  // namespace layouts

using iq2_xxs = lattice_format<layouts::iq2_xxs>;
using iq2_xs = lattice_format<layouts::iq2_xs>;
using iq2_s = lattice_format<layouts::iq2_s>;
static_assert(two_stage_format<iq2_xxs> && gguf_format<iq2_xxs>);
static_assert(two_stage_format<iq2_xs> && gguf_format<iq2_xs>);
static_assert(two_stage_format<iq2_s> && gguf_format<iq2_s>);

}  // namespace tessera
