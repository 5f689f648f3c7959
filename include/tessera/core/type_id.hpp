// The tensor types a GGUF file can name: id, name and block geometry. What the bytes mean is format/'s business.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace tessera {

/// The type number of a GGUF tensor info. Source: ggml's type list; ids 4, 5, 31-33, 36-38 were removed there.
/// Ids from `first_private` on are free for formats of one's own; no stock reader takes them.
enum class type_id : std::uint32_t {
    f32 = 0,
    f16 = 1,
    q4_0 = 2,
    q4_1 = 3,
    q5_0 = 6,
    q5_1 = 7,
    q8_0 = 8,
    q8_1 = 9,
    q2_k = 10,
    q3_k = 11,
    q4_k = 12,
    q5_k = 13,
    q6_k = 14,
    q8_k = 15,
    iq2_xxs = 16,
    iq2_xs = 17,
    iq3_xxs = 18,
    iq1_s = 19,
    iq4_nl = 20,
    iq3_s = 21,
    iq2_s = 22,
    iq4_xs = 23,
    i8 = 24,
    i16 = 25,
    i32 = 26,
    i64 = 27,
    f64 = 28,
    iq1_m = 29,
    bf16 = 30,
    tq1_0 = 34,
    tq2_0 = 35,
    mxfp4 = 39,
    nvfp4 = 40,
    q1_0 = 41,
    q2_0 = 42,
    first_private = 0x7e55'0000,
};

/// How a type lies in a file: `block_size` weights in `block_bytes` bytes.
struct type_layout {
    type_id id;
    std::string_view name;
    std::uint32_t block_size;
    std::uint32_t block_bytes;

    [[nodiscard]] constexpr double bits_per_weight() const noexcept {
        return 8.0 * static_cast<double>(block_bytes) / static_cast<double>(block_size);
    }
};

/// Every type a GGUF file may hold.
inline constexpr std::array type_layouts = std::to_array<type_layout>({
    {type_id::f32, "F32", 1, 4},
    {type_id::f16, "F16", 1, 2},
    {type_id::q4_0, "Q4_0", 32, 18},
    {type_id::q4_1, "Q4_1", 32, 20},
    {type_id::q5_0, "Q5_0", 32, 22},
    {type_id::q5_1, "Q5_1", 32, 24},
    {type_id::q8_0, "Q8_0", 32, 34},
    {type_id::q8_1, "Q8_1", 32, 36},
    {type_id::q2_k, "Q2_K", 256, 84},
    {type_id::q3_k, "Q3_K", 256, 110},
    {type_id::q4_k, "Q4_K", 256, 144},
    {type_id::q5_k, "Q5_K", 256, 176},
    {type_id::q6_k, "Q6_K", 256, 210},
    {type_id::q8_k, "Q8_K", 256, 292},
    {type_id::iq2_xxs, "IQ2_XXS", 256, 66},
    {type_id::iq2_xs, "IQ2_XS", 256, 74},
    {type_id::iq3_xxs, "IQ3_XXS", 256, 98},
    {type_id::iq1_s, "IQ1_S", 256, 50},
    {type_id::iq4_nl, "IQ4_NL", 32, 18},
    {type_id::iq3_s, "IQ3_S", 256, 110},
    {type_id::iq2_s, "IQ2_S", 256, 82},
    {type_id::iq4_xs, "IQ4_XS", 256, 136},
    {type_id::i8, "I8", 1, 1},
    {type_id::i16, "I16", 1, 2},
    {type_id::i32, "I32", 1, 4},
    {type_id::i64, "I64", 1, 8},
    {type_id::f64, "F64", 1, 8},
    {type_id::iq1_m, "IQ1_M", 256, 56},
    {type_id::bf16, "BF16", 1, 2},
    {type_id::tq1_0, "TQ1_0", 256, 54},
    {type_id::tq2_0, "TQ2_0", 256, 66},
    {type_id::mxfp4, "MXFP4", 32, 17},
    {type_id::nvfp4, "NVFP4", 64, 36},
    {type_id::q1_0, "Q1_0", 128, 18},
    {type_id::q2_0, "Q2_0", 64, 18},
});

/// True for the types that hold whole numbers, which are never weights: ids, positions, tables of choices.
[[nodiscard]] constexpr bool is_integer(type_id id) noexcept {
    return id == type_id::i8 || id == type_id::i16 || id == type_id::i32 || id == type_id::i64;
}

/// True when two names are equal but for the case of ASCII letters: "q4_k" finds "Q4_K".
[[nodiscard]] constexpr bool same_format_name(std::string_view a, std::string_view b) noexcept {
    if (a.size() != b.size()) return false;
    const auto upper = [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; };
    for (std::size_t i = 0; i < a.size(); ++i)
        if (upper(a[i]) != upper(b[i])) return false;
    return true;
}

/// The layout of a type, or null when the id names none.
[[nodiscard]] constexpr const type_layout* find_type(type_id id) noexcept {
    for (const type_layout& layout : type_layouts)
        if (layout.id == id) return &layout;
    return nullptr;
}

}  // namespace tessera
