// What is no format says so in a sentence. Each type lacks one thing: the name is taken by something else.
#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "support/own_formats.hpp"
#include "tessera/encode/encoders.hpp"
#include "tessera/format/combination.hpp"
#include "tessera/format/registry.hpp"

using namespace tessera;
using support::own_nibbles;
using support::own_pairs;

// --- formats ---

// error: a format has a static name
struct without_name : own_nibbles {
    using name = void;
};
static_assert(check_block_format<without_name>());

// error: a block has no padding and no floats: order the fields by alignment, use half or bfloat16
struct with_padding : own_nibbles {
    struct block {
        std::uint8_t code;
        half scale;
    };
    static void decode(const block&, std::span<float, 32>) noexcept;
    static void encode(std::span<const float, 32>, block&) noexcept;
};
static_assert(check_block_format<with_padding>());

// error: a format has a static decode(const block&, std::span<float, block_size>) noexcept
struct with_throwing_decode : own_nibbles {
    static void decode(const block&, std::span<float, 32>);
};
static_assert(check_block_format<with_throwing_decode>());

// error: a format has a static encode(std::span<const float, block_size>, block&) noexcept
struct without_encode : own_nibbles {
    using encode = void;
};
static_assert(check_block_format<without_encode>());

// error: a format in a list has a static `type`, a type_id: those of your own count from type_id::first_private
struct without_type : own_nibbles {
    static constexpr int type = 3;
};
using list_of_nameless = format_list<without_type>;
static_assert(list_of_nameless::size == 1);

// error: no two formats of a list have the same type id: those of your own count from first_private
struct same_id : own_pairs {
    static constexpr type_id type = own_nibbles::type;
};
static_assert(format_list<own_nibbles, same_id>::size == 2);

// error: no two formats of a list have the same name, whatever the case of its letters
struct same_name : own_pairs {
    static constexpr std::string_view name = "OWN_nibbles";
};
static_assert(format_list<own_nibbles>::extend<same_name>::size == 2);

// --- two stages ---

// error: a format in two stages has a static fit(weights, importance) noexcept that returns scales for a block
struct without_fit : own_nibbles {
    using fit = void;
};
void encode_without_fit(std::span<const float> row, std::span<without_fit::block> out) {
    weighted{}(format_tag<without_fit>{}, {row, row.size()}, {}, out);
}

// error: a format whose weights have codes of their own has a static round(scales, i, x) that returns the code
struct without_round : own_nibbles {
    using round = void;
};
static_assert(check_two_stage_format<without_round>());

// error: a format whose weights share codes has a static round(scales, i, x, importance) that returns a group's code
struct pairs_without_round : own_pairs {
    using round = void;
};
static_assert(check_two_stage_format<pairs_without_round>());

// error: a format whose weights have codes of their own has a static value(scales, i, code): what weight i decodes to
struct without_value : own_nibbles {
    using value = void;
};
static_assert(check_two_stage_format<without_value>());

// error: a format whose weights share codes has a static value(scales, i, code): an array of what a group decodes to
struct pairs_of_one_value : own_pairs {
    static float value(const scales&, std::size_t, std::uint8_t);
};
static_assert(check_two_stage_format<pairs_of_one_value>());

// error: a format in two stages has a static store(scales, codes, block&) that writes both into bytes
struct without_store : own_nibbles {
    using store = void;
};
static_assert(check_two_stage_format<without_store>());

// --- parts of scalar formats ---

struct block_of_16 {
    half scale;
    half offset;
    std::array<std::uint8_t, 8> codes;
};
using usual_planes = planes<plane<4, 8, &block_of_16::codes>>;
using usual_scaling = scale_per_sub_block<&block_of_16::scale>;
using usual_codebook = linear<-8, 7>;

// error: planes have a static unpack<First>(const block&) that returns sixteen codes as a kernels::byte_vector
struct without_unpack : usual_planes {
    static void unpack();
};
static_assert(check_planes<without_unpack, block_of_16, 16>());

// error: planes have a static pack(codes, block&) for an array of block_size bytes
struct without_pack : usual_planes {
    using pack = void;
};
template <class Planes>
struct layout_with_planes {
    static constexpr std::string_view name = "planes";
    static constexpr std::size_t block_size = 16;
    using block = block_of_16;
    using planes = Planes;
    using scaling = usual_scaling;
    using codebook = usual_codebook;
};
static_assert(sizeof(scalar_format<layout_with_planes<without_pack>>) > 0);

// error: a scaling has a static load(const block&) that returns scales, and a static store(scales, block&)
struct without_load : usual_scaling {
    using load = void;
};
static_assert(check_scaling<without_load, block_of_16>());

// error: a scaling has a static expand<Arch>(scales, scale, min) that fills two arrays of sub_blocks floats
struct without_expand : usual_scaling {
    static void expand();
};
static_assert(check_scaling<without_expand, block_of_16>());

// error: a scaling has a static quantize(scale, min) that returns the scales nearest to sub_blocks floats each
struct without_quantize : usual_scaling {
    using quantize = void;
};
static_assert(check_scaling<without_quantize, block_of_16>());

// error: a scaling with sub-scales has the range of its integers and their fields: derive from two_level_scales
struct with_hidden_sub_scales : usual_scaling {
    static constexpr bool has_sub_scales = true;
};
static_assert(check_scaling<with_hidden_sub_scales, block_of_16>());

// error: a codebook has the constants low and high, its extreme levels, and steps, how many lie between them
struct upside_down : usual_codebook {
    static constexpr float low = 7;
    static constexpr float high = -8;
};
static_assert(check_codebook<upside_down>());

// error: a codebook has a static level(code), and levels<Arch, Part>(sixteen codes) for a register of them
struct without_levels : usual_codebook {
    static void levels();
};
static_assert(check_codebook<without_levels>());

// error: a codebook has a static code(x), and for a register of values nearest(x) and codes(x)
struct without_nearest : usual_codebook {
    using nearest = void;
};
static_assert(check_codebook<without_nearest>());

// --- combinations ---

// error: a block is sub_blocks parts of a multiple of 16 weights: registers hold weights of one part only
struct parts_of_24 : combination<4, 48, scale<half, 2>, symmetric<4>> {
    static constexpr std::string_view name = "parts_of_24";
};
static_assert(sizeof(scalar_format<parts_of_24>) > 0);

// error: offsets have either sign: their type is half or bfloat16
struct offsets_without_sign : combination<4, 32, scale_and_offset<ue4m3, 2>, non_negative<4>> {
    static constexpr std::string_view name = "offsets_without_sign";
};
static_assert(sizeof(scalar_format<offsets_without_sign>) > 0);
