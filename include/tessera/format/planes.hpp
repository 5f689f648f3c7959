// Where the code of a weight lies in a block: a list of bit planes, the lowest bits first.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "tessera/kernels/bit_plane.hpp"

namespace tessera {

namespace detail {
template <class Member>
struct member_pointer;
template <class Block, class Field>
struct member_pointer<Field Block::*> {
    using block = Block;
    using field = Field;
};
template <auto Member>
using field_of = typename member_pointer<decltype(Member)>::field;
}  // namespace detail

/// One plane of `Bits` bits and stride `Stride` (see kernels::bit_plane), in the byte array `Bytes` of the block.
template <unsigned Bits, std::size_t Stride, auto Bytes>
struct plane : kernels::bit_plane<Bits, Stride> {
    static constexpr unsigned bits = Bits;
    static constexpr auto bytes = Bytes;
};

/// The planes of a block's codes. Codes are one byte each when unpacked.
template <class... Planes>
struct planes {
    static constexpr unsigned bits = (Planes::bits + ...);
    static_assert(bits <= 8);

    /// The codes of weights First to First + 15, a multiple of 16.
    template <std::size_t First, class Block>
    [[nodiscard]] static kernels::byte_vector unpack(const Block& in) noexcept {
        return unpack_from<First, 0, Planes...>(in);
    }
    template <class Block, std::size_t N>
    static void pack(const std::array<std::uint8_t, N>& codes, Block& out) noexcept {
        static_assert(((sizeof(out.*Planes::bytes) * 8 == N * Planes::bits) && ...));
        pack_from<N, 0, Planes...>(codes, out);
    }

private:
    template <std::size_t First, unsigned Shift, class Plane, class... Rest, class Block>
    [[nodiscard]] static kernels::byte_vector unpack_from(const Block& in) noexcept {
        const auto codes = Plane::template unpack<First, Shift>((in.*Plane::bytes).data());
        if constexpr (sizeof...(Rest) == 0)
            return codes;
        else
            return codes | unpack_from<First, Shift + Plane::bits, Rest...>(in);
    }

    template <std::size_t N, unsigned Shift, class First, class... Rest, class Block>
    static void pack_from(const std::array<std::uint8_t, N>& codes, Block& out) noexcept {
        First::template pack<N, Shift>(codes.data(), (out.*First::bytes).data());
        if constexpr (sizeof...(Rest) > 0) pack_from<N, Shift + First::bits, Rest...>(codes, out);
    }
};

}  // namespace tessera
