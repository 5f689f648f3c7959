// Where the code of a weight lies in a block: a list of bit planes, the lowest bits first.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

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

    template <class Block, std::size_t N>
    static void unpack(const Block& in, std::array<std::uint8_t, N>& codes) noexcept {
        walk<N, 0, Planes...>::unpack(in, codes.data());
    }
    template <class Block, std::size_t N>
    static void pack(const std::array<std::uint8_t, N>& codes, Block& out) noexcept {
        walk<N, 0, Planes...>::pack(codes.data(), out);
    }

private:
    template <std::size_t N, unsigned Shift, class... Rest>
    struct walk {
        template <class Block>
        static void unpack(const Block&, std::uint8_t*) noexcept {}
        template <class Block>
        static void pack(const std::uint8_t*, Block&) noexcept {}
    };
    template <std::size_t N, unsigned Shift, class First, class... Rest>
    struct walk<N, Shift, First, Rest...> {
        using next = walk<N, Shift + First::bits, Rest...>;
        template <class Block>
        static void unpack(const Block& in, std::uint8_t* codes) noexcept {
            static_assert(sizeof(in.*First::bytes) * 8 == N * First::bits);
            First::template unpack<N, Shift>((in.*First::bytes).data(), codes);
            next::unpack(in, codes);
        }
        template <class Block>
        static void pack(const std::uint8_t* codes, Block& out) noexcept {
            First::template pack<N, Shift>(codes, (out.*First::bytes).data());
            next::pack(codes, out);
        }
    };
};

}  // namespace tessera
