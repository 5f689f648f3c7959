// general.file_type: the number by which llama.cpp's tools name what a file mostly holds.
#pragma once

#include <cstdint>
#include <optional>

#include "tessera/core/type_id.hpp"

namespace tessera::gguf {

/// The file type of a model whose matrices are all of one type, or nothing where llama.cpp has no number. Of the mixes
/// that share a type (S, M, L) it is the one nearest to "all of one type".
[[nodiscard]] constexpr std::optional<std::uint32_t> uniform_file_type(type_id id) noexcept {
    switch (id) {
        case type_id::f32: return 0;
        case type_id::f16: return 1;
        case type_id::q4_0: return 2;
        case type_id::q4_1: return 3;
        case type_id::q8_0: return 7;
        case type_id::q5_0: return 8;
        case type_id::q5_1: return 9;
        case type_id::q2_k: return 10;
        case type_id::q3_k: return 11;
        case type_id::q4_k: return 14;
        case type_id::q5_k: return 16;
        case type_id::q6_k: return 18;
        case type_id::iq2_xxs: return 19;
        case type_id::iq2_xs: return 20;
        case type_id::iq3_xxs: return 23;
        case type_id::iq1_s: return 24;
        case type_id::iq4_nl: return 25;
        case type_id::iq3_s: return 26;
        case type_id::iq2_s: return 29;
        case type_id::iq4_xs: return 30;
        case type_id::iq1_m: return 31;
        case type_id::bf16: return 32;
        case type_id::tq1_0: return 36;
        case type_id::tq2_0: return 37;
        case type_id::mxfp4: return 38;
        case type_id::nvfp4: return 39;
        case type_id::q1_0: return 40;
        case type_id::q2_0: return 41;
        default: return std::nullopt;
    }
}

}  // namespace tessera::gguf
