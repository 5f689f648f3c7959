// What lacks a type or a number that the rest depends on: one sentence of several.
#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "support/own_formats.hpp"
#include "tessera/format/scalar_format.hpp"

using namespace tessera;
using support::own_nibbles;

// error: a format has a struct `block`: its bytes as they lie in a file
struct without_block {
    static constexpr std::string_view name = "without_block";
    static constexpr std::size_t block_size = 32;
};
static_assert(check_block_format<without_block>());

// error: a format has a constant block_size: how many weights share a block
struct of_any_size : own_nibbles {
    static inline std::size_t block_size = 32;
};
static_assert(check_block_format<of_any_size>());

// error: a block is plain data: no constructors that do anything, no virtual functions, one access level
struct with_a_vector : own_nibbles {
    struct block {
        std::vector<std::uint8_t> codes;
    };
};
static_assert(check_block_format<with_a_vector>());

struct of_no_stages {
    static constexpr std::string_view name = "of_no_stages";
    static constexpr std::size_t block_size = 32;
    using block = own_nibbles::block;
    static void decode(const block&, std::span<float, 32>) noexcept;
    static void encode(std::span<const float, 32>, block&) noexcept;
};
static_assert(check_block_format<of_no_stages>());

// error: a format in two stages has a default and copyable struct `scales`: those of a block, as stored
static_assert(check_two_stage_format<of_no_stages>());

// error: a format in two stages has a constant `group`: how many weights share a code, 1 where none do
struct of_groups_of_five : own_nibbles {
    static constexpr std::size_t group = 5;
};
static_assert(check_two_stage_format<of_groups_of_five>());

// error: a format in two stages has an array type `code_array`: the codes of a block
struct without_codes : own_nibbles {
    using code_array = int;
};
static_assert(check_two_stage_format<without_codes>());

struct block_of_16 {
    half scale;
    std::array<std::uint8_t, 8> codes;
};
using usual_scaling = scale_per_sub_block<&block_of_16::scale>;

// error: a scaling has sub_blocks, has_min, has_sub_scales, scale_has_sign, min_has_sign and a type `scalar`
struct without_sub_blocks : usual_scaling {
    using sub_blocks = void;
};
static_assert(check_scaling<without_sub_blocks, block_of_16>());

// error: a scaling has a default and copyable struct `scales` with scale(g) and min(g), the floats of sub-block g
struct with_opaque_scales : usual_scaling {
    struct scales {};
};
static_assert(check_scaling<with_opaque_scales, block_of_16>());
