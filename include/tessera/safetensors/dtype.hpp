// The element types of safetensors files, and how they become floats.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "tessera/core/bytes.hpp"
#include "tessera/core/half.hpp"
#include "tessera/core/type_id.hpp"
#include "tessera/format/plain.hpp"
#include "tessera/safetensors/float8.hpp"

namespace tessera::safetensors {

/// Decodes consecutive elements. Precondition: `bytes` holds out.size() of them.
using decode_function = void (*)(byte_view bytes, std::span<float> out);

/// One element type. `layout` is that of the smallest GGUF type that holds its values exactly; unsigned integers, which
/// GGUF lacks, are named by the signed type of their width. `decode` is null for integers.
struct dtype {
    std::string_view name;
    std::uint32_t bytes;
    type_layout layout;
    decode_function decode;

    /// True when the stored bytes are those of the layout.
    [[nodiscard]] constexpr bool is_plain() const noexcept { return layout.block_bytes == bytes; }
};

namespace detail {

template <class Stored>
void decode_elements(byte_view bytes, std::span<float> out) {
    for (std::size_t i = 0; i < out.size(); ++i)
        out[i] = static_cast<float>(load_bytes<Stored>(bytes.data() + i * sizeof(Stored)));
}

}  // namespace detail

/// Every element type this library knows.
inline constexpr std::array dtypes = std::to_array<dtype>({
    {"F32", 4, layout_of<f32>, detail::decode_elements<float>},
    {"F16", 2, layout_of<f16>, detail::decode_elements<half>},
    {"BF16", 2, layout_of<bf16>, detail::decode_elements<bfloat16>},
    {"F64", 8, layout_of<f64>, detail::decode_elements<double>},
    {"F8_E4M3", 1, layout_of<bf16>, detail::decode_elements<float8_e4m3>},
    {"F8_E5M2", 1, layout_of<bf16>, detail::decode_elements<float8_e5m2>},
    {"F8_E8M0", 1, layout_of<bf16>, detail::decode_elements<float8_e8m0>},
    {"I64", 8, layout_of<i64>, nullptr},
    {"I32", 4, layout_of<i32>, nullptr},
    {"I16", 2, layout_of<i16>, nullptr},
    {"I8", 1, layout_of<i8>, nullptr},
    {"U64", 8, layout_of<i64>, nullptr},
    {"U32", 4, layout_of<i32>, nullptr},
    {"U16", 2, layout_of<i16>, nullptr},
    {"U8", 1, layout_of<i8>, nullptr},
    {"BOOL", 1, layout_of<i8>, nullptr},
});

/// The element type of this name, or null.
[[nodiscard]] constexpr const dtype* find_dtype(std::string_view name) noexcept {
    for (const dtype& known : dtypes)
        if (known.name == name) return &known;
    return nullptr;
}

}  // namespace tessera::safetensors
