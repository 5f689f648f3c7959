// The list of built-in formats. Adding one: its header, one entry here, its test.
#pragma once

#include <algorithm>
#include <array>

#include "tessera/core/type_id.hpp"
#include "tessera/format/fp4.hpp"
#include "tessera/format/iq1.hpp"
#include "tessera/format/iq2.hpp"
#include "tessera/format/iq3.hpp"
#include "tessera/format/iq4.hpp"
#include "tessera/format/k_quants.hpp"
#include "tessera/format/legacy_quants.hpp"
#include "tessera/format/low_bit.hpp"
#include "tessera/format/plain.hpp"
#include "tessera/format/registry.hpp"

namespace tessera {

/// Every format of GGUF that weights are quantized to, by falling size.
using builtin_formats =
    format_list<f32, f16, bf16, q8_0, q6_k, q5_1, q5_0, q5_k, q4_1, q4_0, q4_k, iq4_nl, nvfp4, iq4_xs, mxfp4, q3_k,
                iq3_s, iq3_xxs, q2_k, iq2_s, iq2_xs, q2_0, iq2_xxs, tq2_0, iq1_m, tq1_0, iq1_s, q1_0>;

/// What a file may hold: the formats of a list, and after them the types of plain storage that it lacks.
template <class Formats>
using stored_formats_of = completed_list<Formats, f32, f16, bf16, f64, i8, i16, i32, i64>;
using stored_formats = stored_formats_of<builtin_formats>;

/// For rows that are no whole blocks of a format of 256.
using fallback_formats = builtin_formats::fallbacks;

/// Every type that a GGUF file may name. Those after the formats are what llama.cpp rounds activations to: no file
/// holds them, and nothing here decodes them.
inline constexpr auto type_layouts = [] {
    std::array<type_layout, stored_formats::size + 2> all{};
    std::copy(stored_formats::layouts.begin(), stored_formats::layouts.end(), all.begin());
    all[stored_formats::size] = {type_id{9}, "Q8_1", 32, 36};
    all[stored_formats::size + 1] = {type_id{15}, "Q8_K", 256, 292};
    return all;
}();

/// The layout of a type of GGUF, or null when the id names none.
[[nodiscard]] constexpr const type_layout* find_type(type_id id) noexcept { return find_layout(type_layouts, id); }

}  // namespace tessera
