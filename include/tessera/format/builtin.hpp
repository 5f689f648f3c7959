// The list of built-in formats. Adding one: its header, one entry here, its test.
#pragma once

#include "tessera/format/plain.hpp"
#include "tessera/format/q4_0.hpp"
#include "tessera/format/q4_k.hpp"
#include "tessera/format/q6_k.hpp"
#include "tessera/format/q8_0.hpp"
#include "tessera/format/registry.hpp"

namespace tessera {

using builtin_formats = format_list<f32, f16, bf16, q8_0, q6_k, q4_k, q4_0>;

}  // namespace tessera
