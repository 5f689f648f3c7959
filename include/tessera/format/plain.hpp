// F32, F16, BF16: one weight a block.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "tessera/core/half.hpp"
#include "tessera/format/concepts.hpp"

namespace tessera {

/// A format whose block is one value of `Scalar`, converted to and from float (to nearest even).
template <class Scalar, type_id Type>
struct plain_format {
    static constexpr std::string_view name = find_type(Type)->name;
    static constexpr type_id type = Type;
    static constexpr std::size_t block_size = 1;
    using block = Scalar;

    static constexpr void decode(const block& in, std::span<float, 1> x) noexcept { x[0] = static_cast<float>(in); }
    static constexpr void encode(std::span<const float, 1> x, block& out) noexcept { out = static_cast<block>(x[0]); }
};

using f32 = plain_format<float, type_id::f32>;
using f16 = plain_format<half, type_id::f16>;
using bf16 = plain_format<bfloat16, type_id::bf16>;

}  // namespace tessera
