// The list of built-in formats. Adding one: its header, one entry here, its test.
#pragma once

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

/// What a file may hold: the types of plain storage, too.
using stored_formats = builtin_formats::extend<f64, i8, i16, i32, i64>;

/// For rows that are not whole blocks of a format of 256: what stock tools fall back to.
using fallback_formats = format_list<f32, f16, bf16, q8_0, q5_1, q5_0, iq4_nl>;

}  // namespace tessera
