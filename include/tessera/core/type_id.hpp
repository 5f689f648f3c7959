// What the upper layers know of a tensor type: id, name, block geometry, what stock tools do with it. What the bytes
// mean is format/'s business.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace tessera {

/// The type number of a GGUF tensor info. Source: ggml's type list; ids 4, 5, 31-33, 36-38 were removed there. Names
/// are for ids that other code speaks of: a format needs none, its header says `type_id{number}`. Ids from
/// `first_private` on are free for formats of one's own; no stock reader takes them.
enum class type_id : std::uint32_t {
    f32 = 0,
    f16 = 1,
    q4_0 = 2,
    q4_1 = 3,
    q5_0 = 6,
    q5_1 = 7,
    q8_0 = 8,
    q2_k = 10,
    q3_k = 11,
    q4_k = 12,
    q5_k = 13,
    q6_k = 14,
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
    first_private = 0x7e55'0000,
};

/// What llama.cpp's tools do with a type, besides running it. What is not said, they do not do.
struct stock_facts {
    std::optional<std::uint32_t> file_type = {};  ///< general.file_type of a model whose matrices are all of the type
    bool is_mix = false;                     ///< llama-quantize has a mix of the type's name, which is its usual type
    std::optional<type_id> substitute = {};  ///< what it writes where rows are no whole blocks of the type
    std::optional<type_id> embedding = {};   ///< what the mix of the type's name has for the embedding table instead
    bool needs_importances = false;          ///< it encodes no layer so without them
};

/// How a type lies in a file: `block_size` weights in `block_bytes` bytes.
struct type_layout {
    type_id id;
    std::string_view name;
    std::uint32_t block_size;
    std::uint32_t block_bytes;
    stock_facts stock = {};

    [[nodiscard]] constexpr double bits_per_weight() const noexcept {
        return 8.0 * static_cast<double>(block_bytes) / static_cast<double>(block_size);
    }
};

/// What is there without any format: numbers as they are, and what a tensor is until it is said otherwise.
inline constexpr type_layout f32_layout{type_id::f32, "F32", 1, 4, {.file_type = 0, .is_mix = true}};

/// The layout of this type, or null.
[[nodiscard]] constexpr const type_layout* find_layout(std::span<const type_layout> layouts, type_id id) noexcept {
    for (const type_layout& layout : layouts)
        if (layout.id == id) return &layout;
    return nullptr;
}

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

/// The layout of this name, in any case, or null.
[[nodiscard]] constexpr const type_layout* find_layout(std::span<const type_layout> layouts,
                                                       std::string_view name) noexcept {
    for (const type_layout& layout : layouts)
        if (same_format_name(layout.name, name)) return &layout;
    return nullptr;
}

/// "F32, F16, ...": for messages and help texts.
[[nodiscard]] inline std::string layout_names(std::span<const type_layout> layouts) {
    std::string all;
    for (const type_layout& layout : layouts) {
        if (!all.empty()) all += ", ";
        all += layout.name;
    }
    return all;
}

}  // namespace tessera
